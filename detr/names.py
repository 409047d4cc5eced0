"""The few facts about networks that flags need, without torch."""

TIMM = "timm:"  # before the names of backbones that are models of timm
UNET_GROUPS = 8  # of each group norm of the U-Net: its channels are a multiple of it
