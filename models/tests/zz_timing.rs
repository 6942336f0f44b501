struct Instant(f64);
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.split(' ').collect();
    (f[13].parse::<f64>().unwrap() + f[14].parse::<f64>().unwrap()) * 10.0
}
impl Instant {
    fn now() -> Self {
        Instant(cpu())
    }
    fn elapsed(&self) -> f64 {
        cpu() - self.0
    }
}

use affectflow_models::diffusion::*;
use affectflow_models::parameters::*;
use affectflow_models::*;
use candle_core::*;
#[test]
fn perceive() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffusion/sd15");
    let p = Perceiver::load(&ModelFolder::disk(&root).unwrap(), Options::default(), &Device::Cpu, DType::F32)
        .unwrap();
    let e = candle_core::safetensors::load(root.join("expected.safetensors"), &Device::Cpu).unwrap();
    let (pic, ctx) = (
        e["picture"].to_dtype(DType::F32).unwrap().narrow(3, 0, 128).unwrap().contiguous().unwrap(),
        e["context"].to_dtype(DType::F32).unwrap(),
    );
    for _ in 0..3 {
        let t = Instant::now();
        for _ in 0..40 {
            p.latent(&pic).unwrap();
        }
        eprintln!("vae {:?}", t.elapsed() / 40.0);
        let l = p.latent(&pic).unwrap();
        let t = Instant::now();
        for _ in 0..40 {
            p.statistics_of_latent(&l, &ctx).unwrap();
        }
        eprintln!("unet+stats {:?}", t.elapsed() / 40.0);
    }
}
#[test]
fn heads() {
    let lv = |channels, s| statistics::Level { channels, height: s, width: s };
    let layout = statistics::Layout::new(vec![lv(320, 64), lv(794, 32), lv(1434, 16), lv(1280, 8)]).unwrap();
    let mut par = Parameters::seeded(1, &Device::Cpu);
    let t = Instant::now();
    let fpn = fpn::PooledFpn::new(&layout, 256, par.scope("fpn"), &Device::Cpu).unwrap();
    let cl = cliea::Cliea::new(cliea::Config::default(), par.scope("cliea")).unwrap();
    let m = moe::Moe::new(moe::Config::default(), par.scope("moe")).unwrap();
    eprintln!("init {:?}", t.elapsed());
    let mut opt = optim::AdamW::new([&par], optim::Config::default(), optim::Group::uniform).unwrap();
    let x = Tensor::randn(0f32, 1.0, (16, layout.len()), &Device::Cpu).unwrap();
    let k = Tensor::randn(0f32, 1.0, (16, 154, 768), &Device::Cpu).unwrap();
    let lab = Tensor::randn(0f32, 1.0, (6, 7, 768), &Device::Cpu).unwrap();
    let y = Tensor::new((0..16u32).map(|i| i % 6).collect::<Vec<_>>(), &Device::Cpu).unwrap();
    for _ in 0..3 {
        let t = Instant::now();
        let v = fpn.forward(&x).unwrap();
        eprintln!("fpn fwd {:?}", t.elapsed());
        let t = Instant::now();
        let s = cl.scores(&lab, &k, &v).unwrap();
        eprintln!("cliea fwd {:?}", t.elapsed());
        let d = m.forward(&v, None).unwrap();
        let l1 = losses::cross_entropy(&d.logits, &y, None, Default::default()).unwrap();
        let l2 = losses::cross_entropy(&s, &y, None, Default::default()).unwrap();
        let t = Instant::now();
        let g = l1.backward().unwrap();
        eprintln!("bwd head+fpn {:?}", t.elapsed());
        let t = Instant::now();
        let g2 = l2.backward().unwrap();
        eprintln!("bwd cliea+fpn {:?}", t.elapsed());
        let t = Instant::now();
        opt.step(&g2).unwrap();
        eprintln!("adamw {:?}", t.elapsed());
        drop(g);
    }
}
