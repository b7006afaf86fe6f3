# FCMAE as in the paper, section 3.1 and Table 8.
model = dict(
    type='convnextv2.FCMAE',
    backbone=dict(type='convnextv2.ConvNeXtV2', arch='tiny'),
    encoder='packed',
    mask_ratio=0.6,
    patch_size=32,
    decoder_dim=512,
    decoder_depth=1,
    norm_pix=True,
    data_preprocessor=dict(
        type='convnextv2.FCMAEDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
)
