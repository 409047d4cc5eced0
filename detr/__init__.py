"""Networks: image backbones, and what policies put on top. Pure modules that read no flags and know no task.

The name is ACT's, whose networks began as DETR's; the networks of all policies live here.
"""

TIMM = "timm:"  # before the names of backbones that are models of timm
UNET_GROUPS = 8  # of each group norm of the U-Net: its channels are a multiple of it
