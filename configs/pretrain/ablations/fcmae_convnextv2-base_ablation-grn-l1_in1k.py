# bash tools/dist_train.sh configs/pretrain/ablations/fcmae_convnextv2-base_ablation-grn-l1_in1k.py 8
# Batch 4096 = 32 processes x 128 images, 800 epochs; the rate follows another number of processes.
# GRN with the L1 norm of a channel instead of its L2 norm, in encoder and decoder.
# Published: top-1 84.3 after 100 epochs of fine-tuning (paper, section 3.2).
# Not run here.
_base_ = '../fcmae_convnextv2-base_32xb128-800e_in1k.py'

response_norm = dict(type='convnextv2.GRNVariant', aggregation='l1')
model = dict(
    backbone=dict(response_norm=response_norm),
    decoder=dict(type='convnextv2.FCMAEDecoder', response_norm=response_norm),
)
