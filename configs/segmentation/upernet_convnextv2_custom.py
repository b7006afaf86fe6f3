# python tools/train.py configs/segmentation/upernet_convnextv2_custom.py
# Template for your own label masks, images whose pixels are class numbers: docs/own_data.md. Not run here.
_base_ = [
    '../_base_/models/upernet_convnextv2.py', '../_base_/datasets/custom_label_masks.py',
    '../_base_/schedules/custom_fine-tuning.py', '../_base_/runtime/segmentation_runtime.py',
]
data_root = 'data/my_masks'
train = dict(images='images/train', masks='masks/train')  # folders below data_root
val = dict(images='images/val', masks='masks/val')  # None: no validation
mask_suffix = None  # '_L.png': 1_L.png is the mask of 1.jpg; None: the same name, of any type
classes = ('background', 'thing')  # in the order of their numbers, 0, 1, ...
ignore_index = 255  # pixels of this number count neither in training nor in scores
arch = 'tiny'  # atto, femto, pico, nano, tiny, base, large, huge
weights = 'imagenet'  # or 'fcmae': released ones of the arch; a path, an address; None: from scratch
frozen_stages = 0  # of 4, from the image on: these do not train
image_size = 512  # side of the training crops, a multiple of 32, or (height, width); test images' shorter side
scale = (0.5, 2.0)  # training images are resized by a factor of this range
bands = 3  # channels of the images
dtype = None  # 'uint8', 'uint16', 'float32'; None: 'uint8' for 3 bands, otherwise as the files have it
mean = None  # of each band; None: ImageNet's for 3 bands of 8 bits
std = None  # likewise
iterations = None  # steps; None: as in `template`, unless there are epochs
epochs = None  # times that each image is seen; one of the two
batch_size = 4  # images a step and GPU
lr = None  # None: that of `template` for 8 images, following the batch
template = dict(iterations=20000, lr=1e-4)  # what is None from here on follows from the settings above
head = dict(
    in_channels=None, num_classes=None, ignore_index=None,
    norm_cfg=dict(_delete_=True, type='GN', num_groups=32))  # takes batches of one image, as BN does not
model = dict(
    data_preprocessor=dict(mean=None, std=None, size=None, seg_pad_val=None),
    backbone=dict(arch=None, drop_path_rate=None), decode_head=head, auxiliary_head=head,
    test_cfg=dict(mode='slide', crop_size=None, stride=None))
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.9, decay_type='stage_wise'))
default_hooks = dict(checkpoint=dict(interval=None, by_epoch=None), logger=dict(interval=None, log_metric_by_epoch=None))
log_processor = dict(by_epoch=None)
