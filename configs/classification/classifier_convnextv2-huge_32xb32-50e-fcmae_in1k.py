# bash tools/dist_train.sh configs/classification/classifier_convnextv2-huge_32xb32-50e-fcmae_in1k.py 8
# Batch 1024 = 32 GPUs x 32 images; on 8 GPUs the same by optim_wrapper.accumulative_counts=4.
# Published: top-1 86.3 (paper, Table 14). Not run here.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k.py',
    '../_base_/schedules/in1k_50e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_huge_1k_224_fcmae.pt'
model = dict(
    backbone=dict(
        arch='huge',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.8, cutmix_alpha=1.0),
)
train_dataloader = dict(batch_size=32)
