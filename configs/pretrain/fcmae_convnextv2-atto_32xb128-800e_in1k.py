# bash tools/dist_train.sh configs/pretrain/fcmae_convnextv2-atto_32xb128-800e_in1k.py 8
# Batch 4096 = 32 processes x 128 images; with another number of processes the rate follows the
# batch (auto_scale_lr), which the log states.
# Published: IN-1K top-1 76.7 after 1600 epochs and fine-tuning (paper, Table 15). Not run here.
_base_ = [
    '../_base_/models/fcmae_convnextv2.py',
    '../_base_/datasets/imagenet_fcmae.py',
    '../_base_/schedules/fcmae_800e.py',
    '../_base_/runtime/pretrain_runtime.py',
]

model = dict(backbone=dict(arch='atto'))
default_hooks = dict(checkpoint=dict(interval=20))
