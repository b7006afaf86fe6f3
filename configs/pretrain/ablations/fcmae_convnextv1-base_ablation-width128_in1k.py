# bash tools/dist_train.sh configs/pretrain/ablations/fcmae_convnextv1-base_ablation-width128_in1k.py 8
# Batch 4096 = 32 processes x 128 images, 800 epochs; the rate follows another number of processes.
# V1; a decoder of width 128 instead of 512.
# Published: top-1 83.5 after 100 epochs of fine-tuning (paper, section 3.1).
# Not run here.
_base_ = './fcmae_convnextv1-base_ablation-baseline_in1k.py'

model = dict(decoder_dim=128)
