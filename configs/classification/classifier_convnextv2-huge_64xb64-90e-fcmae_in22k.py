# bash tools/dist_train.sh configs/classification/classifier_convnextv2-huge_64xb64-90e-fcmae_in22k.py 8
# Batch 4096 = 64 GPUs x 64 images; on 8 GPUs the same by optim_wrapper.accumulative_counts=8.
# Published with the fine-tuning on ImageNet-1K that follows it (paper, Table 15). Not run here.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_22k.py',
    '../_base_/schedules/in22k_90e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_huge_1k_224_fcmae.pt'
model = dict(
    backbone=dict(
        arch='huge',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    num_classes=21841,
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.8, cutmix_alpha=1.0),
)
train_dataloader = dict(batch_size=64)
default_hooks = dict(checkpoint=dict(interval=5))
