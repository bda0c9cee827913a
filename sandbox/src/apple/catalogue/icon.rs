//! Icons, made up: a square in the colour of the product, lighter towards the lower right.

use crate::apple::endpoint::Reply;

/// Apple's own artwork goes no further.
const LARGEST: u32 = 1024;

/// The picture behind `{adamId}/{w}x{h}bb.png`, the rest of an artwork path.
pub(super) fn serve(path: &str) -> Reply {
    let picture = parse(path).and_then(|(adam_id, width, height)| draw(adam_id, width, height));
    match picture {
        Some(body) => Reply::new(200, "image/png", body.into()),
        None => Reply::text(404, "There is no such picture.\n"),
    }
}

fn parse(path: &str) -> Option<(u64, u32, u32)> {
    let (adam_id, file) = path.split_once('/')?;
    let (width, height) = file.strip_suffix("bb.png")?.split_once('x')?;
    let side = |text: &str| text.parse().ok().filter(|side| (1..=LARGEST).contains(side));
    Some((adam_id.parse().ok()?, side(width)?, side(height)?))
}

fn draw(adam_id: u64, width: u32, height: u32) -> Option<Vec<u8>> {
    let hue = crate::chance::Chance::seeded(adam_id).next().to_le_bytes();
    let shade = |base: u8, x: u32, y: u32| {
        let light = (x * height + y * width) * 80 / (2 * width * height);
        u8::try_from(u32::from(base) / 2 + 40 + light).unwrap_or(u8::MAX)
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [0, 1, 2].map(|part| shade(hue[part], x, y))));
    let pixels: Vec<u8> = pixels.collect();
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).ok()?;
    Some(picture)
}
