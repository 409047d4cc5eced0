"""Networks: image backbones, and what policies put on top. Pure modules that read no flags and know no task.

The name is ACT's, whose networks began as DETR's; the networks of all policies live here.
"""
