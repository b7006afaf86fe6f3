# bash tools/dist_train.sh configs/classification/classifier_convnextv2-base_ablation-grn-dropped_in1k.py 8
# Batch 1024 = 8 GPUs x 128 images; with another batch the rate follows it.
# Pre-trained with GRN and fine-tuned without it, whose weights are left out.
# Published: top-1 78.8 (paper, section 3.2).
# Not run here.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k.py',
    '../_base_/schedules/in1k_100e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'work_dirs/fcmae_convnextv2-base_32xb128-800e_in1k/epoch_800.pth'
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.1,
        response_norm=dict(type='convnextv2.NoResponseNorm'),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint, strict=False),
    ),
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.8, cutmix_alpha=1.0),
)
