//! The kind `sharpness`: how sharp is each picture? The variance of its Laplacian (Pech-Pacheco et al., ICPR 2000): low where
//! it is blurred.

use std::sync::Arc;

use affectflow_plugin::prelude::*;
use image::GrayImage;

/// Options of `sharpness`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, crate = "affectflow_plugin::serde")]
#[schemars(crate = "affectflow_plugin::schemars")]
pub struct Options {
    /// Longer side that larger pictures are scaled down to, so that sizes compare
    #[schemars(range(min = 8, max = 4096), extend("x-unit" = "px"))]
    pub size: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { size: 256 }
    }
}

/// The kind.
pub struct Sharpness;

impl Stage for Sharpness {
    type Options = Options;

    fn about(&self) -> Manifest {
        Manifest::map("sharpness", 1, "How sharp is each picture? The variance of its Laplacian")
            .reads("image", "binary")
            .adds(
                "sharpness",
                "float32",
                "variance of the Laplacian of the grey picture (0 to 255); low where it is blurred",
            )
            .rows_per_call(32)
    }

    fn open(&self, options: Options) -> Result<Box<dyn Work>, Error> {
        Ok(work(move |rows, call| {
            let pictures = rows.column(1).as_binary::<i32>();
            let mut values = Float32Builder::with_capacity(rows.num_rows());
            for (row, picture) in pictures.iter().enumerate() {
                match image::load_from_memory(picture.unwrap_or_default()) {
                    Ok(picture) if picture.width().max(picture.height()) > options.size => {
                        let small = picture.thumbnail(options.size, options.size);
                        values.append_value(laplacian_variance(&small.to_luma8()));
                    }
                    Ok(picture) => values.append_value(laplacian_variance(&picture.to_luma8())),
                    Err(error) => {
                        call.fail(row, &format!("the picture cannot be read: {error}"));
                        values.append_null();
                    }
                }
            }
            Ok(vec![Arc::new(values.finish())])
        }))
    }
}

affectflow_plugin::export!(Sharpness);

/// The variance of `4·p − left − right − above − below` over the inner pixels; 0 where there are none.
pub fn laplacian_variance(picture: &GrayImage) -> f32 {
    let (width, height) = picture.dimensions();
    let at = |x: u32, y: u32| f64::from(picture.get_pixel(x, y).0[0]);
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let value = 4.0 * at(x, y) - at(x - 1, y) - at(x + 1, y) - at(x, y - 1) - at(x, y + 1);
            sum += value;
            squares += value * value;
            count += 1.0;
        }
    }
    if count == 0.0 { 0.0 } else { (squares / count - (sum / count).powi(2)) as f32 }
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    #[test]
    fn an_even_picture_has_no_edges_and_blurring_takes_them_away() {
        assert_eq!(laplacian_variance(&GrayImage::from_pixel(9, 9, Luma([77]))), 0.0);
        assert_eq!(laplacian_variance(&GrayImage::new(1, 2)), 0.0);
        let board = GrayImage::from_fn(64, 64, |x, y| Luma([if (x / 4 + y / 4) % 2 == 0 { 255 } else { 0 }]));
        let blurred = image::imageops::blur(&board, 2.0);
        assert!(laplacian_variance(&board) > 20.0 * laplacian_variance(&blurred));
    }

    #[test]
    fn one_bright_pixel_gives_the_variance_by_hand() {
        // Inner 3 × 3: 4·9 in the middle, −9 at its four neighbours, 0 in the corners.
        let mut picture = GrayImage::new(5, 5);
        picture.put_pixel(2, 2, Luma([9]));
        let (sum, squares) = (36.0 - 36.0, 36.0f32.powi(2) + 4.0 * 81.0);
        assert_eq!(laplacian_variance(&picture), squares / 9.0 - sum);
    }
}
