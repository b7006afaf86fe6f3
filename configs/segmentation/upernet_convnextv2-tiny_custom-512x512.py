# python tools/train.py configs/segmentation/upernet_convnextv2-tiny_custom-512x512.py
# Your own label masks, PNGs of the class numbers 0, 1, ...; 255 is ignored: change the paths and
# the class names, then python tools/dataset_converters/check_data.py THIS_FILE. The rate follows the batch. Not run.
_base_ = 'upernet_convnextv2-tiny_8xb2-160k-fcmae-ft_ade20k-512x512.py'

data_root = 'data/my_masks/'
train = dict(img_path='images/train', seg_map_path='masks/train')
val = dict(img_path='images/val', seg_map_path='masks/val')
suffixes = dict(img_suffix='.jpg', seg_map_suffix='.png')  # 1.jpg belongs to 1.png
classes = ('background', 'thing')
iterations = 20000

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/im1k/convnextv2_tiny_1k_224_ema.pt'
dataset = dict(type='BaseSegDataset', data_root=data_root, metainfo=dict(classes=classes), **suffixes)
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(num_classes=len(classes)),
    auxiliary_head=dict(num_classes=len(classes)),
)
train_dataloader = dict(dataset=dict(data_prefix=train, **dataset))
val_dataloader = dict(dataset=dict(data_prefix=val, **dataset))
test_dataloader = val_dataloader
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=iterations),
]
train_cfg = dict(max_iters=iterations, val_interval=iterations // 10)
default_hooks = dict(checkpoint=dict(interval=iterations // 10))
