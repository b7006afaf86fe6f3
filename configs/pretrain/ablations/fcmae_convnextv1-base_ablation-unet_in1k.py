# bash tools/dist_train.sh configs/pretrain/ablations/fcmae_convnextv1-base_ablation-unet_in1k.py 8
# Batch 4096 = 32 processes x 128 images, 800 epochs; the rate follows another number of processes.
# V1; the decoder is a UNet of V1's blocks with skip connections.
# Published: top-1 83.5 to 83.7 of UNets after 100 epochs of fine-tuning (paper, section 3.1).
# Not run here.
_base_ = './fcmae_convnextv1-base_ablation-baseline_in1k.py'

model = dict(decoder=dict(type='convnextv2.UNetDecoder'))
