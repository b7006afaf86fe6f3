# python tools/train.py configs/detection/faster-rcnn_convnextv2_fpn_custom.py
# Template for your own objects, boxes in COCO's format: docs/own_data.md. Not run here.
_base_ = [
    '../_base_/models/faster-rcnn_convnextv2_fpn.py', '../_base_/datasets/custom_objects.py',
    '../_base_/schedules/custom_fine-tuning.py', '../_base_/runtime/detection_runtime.py',
]
data_root = 'data/my_objects'
train = dict(images='train', annotations='train.json')  # below data_root
val = dict(images='val', annotations='val.json')  # None: no validation
classes = ('cat', 'dog')  # as the categories of the json files are called
arch = 'tiny'  # atto, femto, pico, nano, tiny, base, large, huge
weights = 'fcmae'  # or 'imagenet': released ones of the arch; a path, an address; None: from scratch
frozen_stages = 0  # of 4, from the image on: these do not train
image_size = 800  # side of the training crops, a multiple of 32, or (height, width); test images are made to fit
scale = (0.5, 2.0)  # training images are resized by a factor of this range
bands = 3  # channels of the images
dtype = None  # 'uint8', 'uint16', 'float32'; None: 'uint8' for 3 bands, otherwise as the files have it
mean = None  # of each band; None: ImageNet's for 3 bands of 8 bits
std = None  # likewise
iterations = None  # steps; None: as in `template`, unless there are epochs
epochs = None  # times that each image is seen; one of the two
batch_size = 4  # images a step and GPU
lr = None  # None: that of `template` for 8 images, following the batch
template = dict(iterations=10000, lr=1e-4)  # what is None from here on follows from the settings above
model = dict(
    data_preprocessor=dict(
        mean=None, std=None, batch_augments=[dict(type='BatchFixedSizePad', size=None, pad_mask=None)]),
    backbone=dict(arch=None, drop_path_rate=None), neck=dict(in_channels=None),
    roi_head=dict(bbox_head=dict(num_classes=None)))
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.95, decay_type='layer_wise'))
default_hooks = dict(checkpoint=dict(interval=None, by_epoch=None), logger=dict(interval=None))
log_processor = dict(by_epoch=None)
