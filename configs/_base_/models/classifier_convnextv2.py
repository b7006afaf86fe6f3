model = dict(
    type='convnextv2.Classifier',
    backbone=dict(type='convnextv2.ConvNeXtV2', arch='tiny', out_indices=(3,), output_norm=False),
    num_classes=1000,
    head_init_scale=0.001,
    label_smoothing=0.1,
    data_preprocessor=dict(type='convnextv2.FCMAEDataPreprocessor'),
)
