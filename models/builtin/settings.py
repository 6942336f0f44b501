"""How large are the built-in networks, and how long does each train?

Everything a rebuild depends on is here: sizes, seeds, steps. A run ends at its number of steps or at its minutes,
whichever comes first; the learning rate follows the same clock, so that a slow machine still anneals.
"""

SIDE = 128
TRAIN_SEED, HELD_OUT_SEED = 1000, 2000
TRAIN_COUNT, HELD_OUT_COUNT = 12_000, 500  # pictures a domain
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
EMOTIONS = ["surprise", "happy", "disgust", "fear", "sad", "anger"]

VLM = dict(
    vision=dict(hidden_size=128, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
                image_size=SIDE, patch_size=16, projection_dim=128, hidden_act="gelu", layer_norm_eps=1e-5,
                initializer_range=0.06),  # the published default of 1e-10 is for loading, not for training
    text=dict(hidden_size=128, encoder_hidden_size=128, intermediate_size=384, num_hidden_layers=3,
              num_attention_heads=4, max_position_embeddings=64, projection_dim=128, hidden_act="gelu",
              layer_norm_eps=1e-12, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.05),
    steps=5000, minutes=26, batch=64, lr=1.2e-3, weight_decay=0.05, bag=10.0,
)
TEXT = dict(
    model=dict(hidden_size=64, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4,
               max_position_embeddings=77, projection_dim=64, hidden_act="quick_gelu"),
    vocabulary=1000, steps=500, minutes=6, batch=128, lr=1.5e-3, weight_decay=0.02,
)
VAE = dict(
    model=dict(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(16, 32, 48, 64),
               layers_per_block=1, norm_num_groups=8, sample_size=SIDE,
               down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4),
    steps=3000, minutes=20, batch=16, crop=64, lr=2e-3, weight_decay=0.0, kl=1e-4,
)
UNET = dict(
    model=dict(sample_size=SIDE // 8, in_channels=4, out_channels=4, layers_per_block=2,
               block_out_channels=(32, 64, 64, 64), cross_attention_dim=64, attention_head_dim=4,
               norm_num_groups=16,
               down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
               up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3),
    steps=800, minutes=14, batch=32, lr=1e-3, weight_decay=0.01, pictures=6000,
)
SCHEDULER = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                 clip_sample=False, steps_offset=1, prediction_type="epsilon")
