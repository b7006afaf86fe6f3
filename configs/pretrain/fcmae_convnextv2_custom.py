# python tools/train.py configs/pretrain/fcmae_convnextv2_custom.py
# Template for your own images without labels: docs/own_data.md. Not run here.
_base_ = [
    '../_base_/models/fcmae_convnextv2.py', '../_base_/datasets/custom_unlabelled.py',
    '../_base_/schedules/custom_pretraining.py', '../_base_/runtime/pretrain_runtime.py',
]
data_root = 'data/my_images'
train = dict(images='.', annotations=None)  # a folder, with any sub-folders; annotations: a list of files in it
val = dict(images=None, annotations=None)  # likewise: the loss on images that are held out
arch = 'tiny'  # atto, femto, pico, nano, tiny, base, large, huge
weights = None  # from scratch; 'fcmae' or 'imagenet': on from released ones of the arch; a path, an address
frozen_stages = 0  # of 4, from the image on: these do not train
image_size = 224  # side of the crops, a multiple of 32, or (height, width)
scale = (0.2, 1.0)  # a crop's share of the image's area; small ones enlarge small things
bands = 3  # channels of the images
dtype = None  # 'uint8', 'uint16', 'float32'; None: 'uint8' for 3 bands, otherwise as the files have it
mean = None  # of each band; None: ImageNet's for 3 bands of 8 bits
std = None  # likewise
iterations = None  # steps; None: the epochs
epochs = None  # times that each image is seen, one of the two; None: as in `template`
batch_size = 64  # images a step and GPU
lr = None  # None: that of `template` for 256 images, following the batch
template = dict(epochs=800, lr=1.5e-4)  # what is None from here on follows from the settings above
model = dict(data_preprocessor=dict(mean=None, std=None), backbone=dict(arch=None))
default_hooks = dict(checkpoint=dict(interval=None, by_epoch=None), logger=dict(interval=None))
log_processor = dict(by_epoch=None)
