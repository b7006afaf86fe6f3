# bash tools/dist_train.sh configs/classification/classifier_convnextv2-base_ablation-grn-added_in1k.py 8
# Batch 1024 = 8 GPUs x 128 images; with another batch the rate follows it.
# V1's blocks pre-trained, fine-tuned with a new GRN in each, at first the identity.
# Published: top-1 80.6 (paper, section 3.2).
# Not run here.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k.py',
    '../_base_/schedules/in1k_100e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'work_dirs/fcmae_convnextv1-base_ablation-baseline_in1k/epoch_800.pth'
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.1,
        layer_scale=dict(type='convnextv2.LayerScale'),  # which V1's weights are made for
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint, strict=False),
    ),
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.8, cutmix_alpha=1.0),
)
