# bash tools/dist_train.sh configs/segmentation/upernet_convnextv2-huge_8xb2-160k-fcmae-in22k-ft_ade20k-640x640.py 8
# Batch 16 = 8 GPUs x 2 images; with another batch the rate follows it. Multi-scale test: --tta.
# Published: mIoU 57.0, multi-scale (paper, Table 7). Not run here. Without --tta: single-scale, 2560.
# Weights: fine-tuned on IN-22K, then IN-1K, of the two released the one at 512, nearer to the crop.
# They are what this config makes: configs/classification/classifier_convnextv2-huge_32xb16-30e-in22k_in1k-512.py
_base_ = [
    '../_base_/models/upernet_convnextv2.py',
    '../_base_/datasets/ade20k_640.py',
    '../_base_/schedules/ade20k_160k.py',
    '../_base_/runtime/segmentation_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/im22k/convnextv2_huge_22k_512_ema.pt'
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        arch='huge', drop_path_rate=0.4, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    decode_head=dict(in_channels=[352, 704, 1408, 2816]),
    auxiliary_head=dict(in_channels=1408),
    test_cfg=_base_.slide,
)
