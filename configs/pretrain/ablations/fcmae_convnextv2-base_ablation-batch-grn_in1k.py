# bash tools/dist_train.sh configs/pretrain/ablations/fcmae_convnextv2-base_ablation-batch-grn_in1k.py 8
# Batch 4096 = 32 processes x 128 images, 800 epochs; the rate follows another number of processes.
# GRN's norm over the whole batch of a process, in the encoder, as the released code has it.
# Published: none; the released code trained so (ConvNeXt-V2 issue 86).
# Not run here.
_base_ = '../fcmae_convnextv2-base_32xb128-800e_in1k.py'

model = dict(backbone=dict(response_norm=dict(type='convnextv2.BatchGRN')))
