# python tools/train.py configs/pretrain/ablations/fcmae_convnextv2-micro_no-grn_dsb2018-300.py
# V2's block without GRN, in encoder and decoder; V1's without its layer scale.
# Not in the paper; figures: docs/analysis.md.
_base_ = '../fcmae_convnextv2-micro_dsb2018-300.py'

response_norm = dict(type='convnextv2.NoResponseNorm')
model = dict(
    backbone=dict(response_norm=response_norm),
    decoder=dict(type='convnextv2.FCMAEDecoder', response_norm=response_norm),
)
