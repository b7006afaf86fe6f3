# bash tools/dist_train.sh configs/pretrain/ablations/fcmae_convnextv1-base_ablation-depth8_in1k.py 8
# Batch 4096 = 32 processes x 128 images, 800 epochs; the rate follows another number of processes.
# V1; a decoder of 8 blocks instead of 1.
# Published: top-1 83.6 after 100 epochs of fine-tuning (paper, section 3.1).
# Not run here.
_base_ = './fcmae_convnextv1-base_ablation-baseline_in1k.py'

model = dict(decoder_depth=8)
