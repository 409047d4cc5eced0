"""Networks: image backbones, the transformer, ACT. Pure modules that read no flags and know no task."""
