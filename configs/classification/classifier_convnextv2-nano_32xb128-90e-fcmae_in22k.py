# bash tools/dist_train.sh configs/classification/classifier_convnextv2-nano_32xb128-90e-fcmae_in22k.py 8
# Batch 4096 = 32 GPUs x 128 images; on 8 GPUs the same by optim_wrapper.accumulative_counts=4.
# Published with the fine-tuning on ImageNet-1K that follows it (paper, Table 15). Not run here.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_22k.py',
    '../_base_/schedules/in22k_90e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_nano_1k_224_fcmae.pt'
model = dict(
    backbone=dict(
        arch='nano',
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    num_classes=21841,
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.8, cutmix_alpha=1.0),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.9, decay_type='block_wise'))
default_hooks = dict(checkpoint=dict(interval=5))
