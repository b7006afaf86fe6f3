# python tools/train.py configs/pretrain/fcmae_convnextv2-femto_custom.py
# Your own images: change the three lines below. The rate follows the batch and the number of
# processes (1.5e-4 for 256 images, auto_scale_lr). Not run here.
_base_ = 'fcmae_convnextv2-femto_32xb128-800e_in1k.py'

data_root = 'data/my_images'  # a folder of images, with or without sub-folders
batch_size = 64  # images a step and process
epochs = 800
# Mean and std of your images: a file of tools/dataset_converters/compute_statistics.py; None: those of ImageNet.
statistics = None

model = dict(data_preprocessor=dict(statistics=statistics))
train_dataloader = dict(batch_size=batch_size, drop_last=False, dataset=dict(data_root=data_root))
warmup = max(1, epochs // 20)
iterwise = dict(by_epoch=True, convert_to_iter_based=True)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, begin=0, end=warmup, **iterwise),
    dict(type='CosineAnnealingLR', eta_min=0.0, begin=warmup, end=epochs, **iterwise),
]
train_cfg = dict(max_epochs=epochs)
# Held-out images are not asked for; the loss on a folder of them: tools/test.py with
#   --cfg-options test_dataloader.dataset.data_root=FOLDER
