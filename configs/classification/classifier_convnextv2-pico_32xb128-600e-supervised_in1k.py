# bash tools/dist_train.sh configs/classification/classifier_convnextv2-pico_32xb128-600e-supervised_in1k.py 8
# Batch 4096 = 32 GPUs x 128 images; on 8 GPUs the same by optim_wrapper.accumulative_counts=4.
# Published: top-1 79.7 (paper, Table 14). Not run here.
# From scratch, so that the head begins at its usual size; the recipe is not in the paper, see
# the schedule. Smoothing, mixing and drop path are those of the fine-tuning of this size.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k.py',
    '../_base_/schedules/in1k-supervised_600e.py',
    '../_base_/runtime/classification_runtime.py',
]

model = dict(
    backbone=dict(arch='pico', drop_path_rate=0.0),
    head_init_scale=1.0,
    label_smoothing=0.2,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.3, cutmix_alpha=0.3),
)
