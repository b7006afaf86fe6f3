# bash tools/dist_train.sh configs/pretrain/ablations/fcmae_convnextv2-base_ablation-lrn_in1k.py 8
# Batch 4096 = 32 processes x 128 images, 800 epochs; the rate follows another number of processes.
# Local response normalisation in GRN's place, in encoder and decoder.
# Published: in the paper's section 3.2, whose number is not quoted here.
# Not run here.
_base_ = '../fcmae_convnextv2-base_32xb128-800e_in1k.py'

response_norm = dict(type='convnextv2.LRNResponse')
model = dict(
    backbone=dict(response_norm=response_norm),
    decoder=dict(type='convnextv2.FCMAEDecoder', response_norm=response_norm),
)
