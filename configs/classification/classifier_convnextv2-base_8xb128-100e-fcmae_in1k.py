# bash tools/dist_train.sh configs/classification/classifier_convnextv2-base_8xb128-100e-fcmae_in1k.py 8
# Batch 1024 = 8 GPUs x 128 images; with another batch the rate follows it.
# Published: top-1 84.9 (paper, Table 14). Not run here.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k.py',
    '../_base_/schedules/in1k_100e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_base_1k_224_fcmae.pt'
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.8, cutmix_alpha=1.0),
)
