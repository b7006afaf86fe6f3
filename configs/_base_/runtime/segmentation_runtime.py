default_scope = 'mmseg'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='convnextv2.LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='convnextv2.AtomicCheckpointHook',
        by_epoch=False,
        interval=16000,
        max_keep_ckpts=3,
        save_best='auto',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),  # for mmseg's own test.py --show-dir
    validation_pictures=dict(type='convnextv2.ValidationPicturesHook', number=4),
    # Validations without a gain after which training ends, such as 10; None: it goes to its end.
    early_stopping=dict(type='convnextv2.EarlyStoppingHook', patience=None),
    features=dict(type='convnextv2.FeatureHook', interval=1000),
    report=dict(type='convnextv2.ReportHook'),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl', timeout=600),
)
visualizer = dict(
    type='SegLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
    name='visualizer',
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
log_level = 'INFO'
load_from = None
resume = False
tta_model = dict(type='SegTTAModel')
