# python tools/train.py configs/classification/classifier_convnextv2_custom.py
# Template for your own labelled images, a folder of each class: docs/own_data.md. Not run here.
_base_ = [
    '../_base_/models/classifier_convnextv2.py', '../_base_/datasets/custom_labelled.py',
    '../_base_/schedules/custom_fine-tuning.py', '../_base_/runtime/classification_runtime.py',
]
data_root = 'data/my_classes'
train = dict(images='train', annotations=None)  # folder with a folder of each class; annotations: or a list of images and classes
val = dict(images='val', annotations=None)  # likewise; None: no validation
classes = None  # None: as the folders below `train` are called; names in the order of their numbers
arch = 'tiny'  # atto, femto, pico, nano, tiny, base, large, huge
weights = 'imagenet'  # or 'fcmae': released ones of the arch; a path, an address; None: from scratch
frozen_stages = 0  # of 4, from the image on: these do not train
image_size = 224  # side of the images that the network gets, a multiple of 32, or (height, width)
scale = (0.08, 1.0)  # a training crop's share of the image's area
bands = 3  # channels of the images
dtype = None  # 'uint8', 'uint16', 'float32'; None: 'uint8' for 3 bands, otherwise as the files have it
mean = None  # of each band; None: ImageNet's for 3 bands of 8 bits
std = None  # likewise
iterations = None  # steps; None: the epochs
epochs = None  # times that each image is seen, one of the two; None: as in `template`
batch_size = 64  # images a step and GPU
lr = None  # None: that of `template` for 1024 images, following the batch
template = dict(epochs=100, lr=8e-4)  # what is None from here on follows from the settings above
model = dict(
    data_preprocessor=dict(mean=None, std=None), num_classes=None, head_init_scale=None,
    backbone=dict(arch=None, drop_path_rate=None))
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.9, decay_type='block_wise'))
auto_scale_lr = dict(base_batch_size=1024)
default_hooks = dict(checkpoint=dict(interval=None, by_epoch=None), logger=dict(interval=None, log_metric_by_epoch=None))
log_processor = dict(by_epoch=None)
