# bash tools/dist_train.sh configs/segmentation/upernet_convnextv2-atto_8xb2-160k-fcmae-ft_ade20k-512x512.py 8
# Batch 16 = 8 GPUs x 2 images; with another batch the rate follows it. Multi-scale test: --tta.
# Published: none for this size. Chosen from the nearest published one, Base: decay .9 as there,
# drop path .1 where Base has .4, for a smaller network. Not run here.
# Starts from what this config makes, here the authors' own weights of it:
# configs/classification/classifier_convnextv2-atto_8xb128-600e-fcmae_in1k.py
_base_ = [
    '../_base_/models/upernet_convnextv2.py',
    '../_base_/datasets/ade20k_512.py',
    '../_base_/schedules/ade20k_160k.py',
    '../_base_/runtime/segmentation_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/im1k/convnextv2_atto_1k_224_ema.pt'
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        arch='atto', drop_path_rate=0.1, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    decode_head=dict(in_channels=[40, 80, 160, 320]),
    auxiliary_head=dict(in_channels=160),
    test_cfg=_base_.slide,
)
