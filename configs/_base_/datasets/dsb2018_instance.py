# Nuclei of the Data Science Bowl 2018 (BBBC038), from `tools/dataset_converters/prepare_data.py dsb2018`: read as the
# demo's nuclei are, from crops of 256 x 256.
_base_ = './demo_nuclei_instance.py'

data_root = 'data/dsb2018/'
load, augment = _base_.train_pipeline[:2], _base_.train_pipeline[2:]
crop = dict(type='RandomCrop', crop_size=(256, 256), allow_negative_crop=True)
train_pipeline = [*load, crop, *augment]
part = dict(data_root=data_root, data_prefix=dict(img='images/'))

train_dataloader = dict(
    batch_size=4, dataset=dict(filter_cfg=None, pipeline=train_pipeline, **part)
)
val_dataloader = dict(dataset=part)
test_dataloader = val_dataloader
# Some images hold more than 300 nuclei, so COCO's limit of 100 detections would cap the score.
val_evaluator = dict(ann_file=data_root + 'val.json', proposal_nums=(100, 300, 500))
test_evaluator = val_evaluator
