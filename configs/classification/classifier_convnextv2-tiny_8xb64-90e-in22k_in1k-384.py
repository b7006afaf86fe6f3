# bash tools/dist_train.sh configs/classification/classifier_convnextv2-tiny_8xb64-90e-in22k_in1k-384.py 8
# Batch 512 = 8 GPUs x 64 images; with another batch the rate follows it.
# Published: top-1 85.1 (paper, Table 15). Not run here.
# Starts from the last checkpoint of the training on ImageNet-22K, whose own weights were not
# released: configs/classification/classifier_convnextv2-tiny_32xb128-90e-fcmae_in22k.py.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k_384.py',
    '../_base_/schedules/in22k-in1k_90e.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'work_dirs/classifier_convnextv2-tiny_32xb128-90e-fcmae_in22k/epoch_90.pth'
model = dict(
    backbone=dict(
        arch='tiny',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    head_init_scale=0.001,
    label_smoothing=0.1,
    mixing=None,
)
train_dataloader = dict(batch_size=64)
