# bash tools/dist_train.sh configs/classification/classifier_convnextv2-huge_32xb16-30e-in22k_in1k-384.py 8
# Batch 512 = 32 GPUs x 16 images; on 8 GPUs the same by optim_wrapper.accumulative_counts=4.
# Published: top-1 88.7 (paper, Table 15). Not run here.
# Starts from the last checkpoint of the training on ImageNet-22K, whose own weights were not
# released: configs/classification/classifier_convnextv2-huge_64xb64-90e-fcmae_in22k.py.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k_384.py',
    '../_base_/schedules/in22k-in1k_30e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'work_dirs/classifier_convnextv2-huge_64xb64-90e-fcmae_in22k/epoch_90.pth'
model = dict(
    backbone=dict(
        arch='huge',
        drop_path_rate=0.5,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=None,
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.85))
train_dataloader = dict(batch_size=16)
custom_hooks = []  # no moving average
