# bash tools/dist_train.sh configs/detection/mask2former_convnextv2-tiny_8xb2-lsj-50e-fcmae_coco.py 8
# Batch 16 = 8 GPUs x 2 images; with another batch the rate follows it.
# Published: none with ConvNeXt V2. All as in mmdet's Mask2Former for instances (with Swin-T's drop
# path), but for the backbone's rates: decay .7 a layer, mmdet's for ConvNeXt V1-T, where it has a
# tenth for all layers. Not run here.
_base_ = '../_base_/datasets/coco_mask2former.py'

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_tiny_1k_224_fcmae.pt'
model = dict(
    backbone=dict(
        _delete_=True, type='convnextv2.ConvNeXtV2', arch='tiny', drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    panoptic_head=dict(in_channels=[96, 192, 384, 768]))
optim_wrapper = dict(
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, decay_rate=0.7, decay_type='layer_wise'))
auto_scale_lr = dict(enable=True)
default_hooks = dict(checkpoint=dict(type='convnextv2.AtomicCheckpointHook'))
randomness = dict(seed=0)
