//! What are the digests of many short messages? A digest of 50 bytes keeps a core waiting for itself; sixteen of them side by
//! side, one in each lane of its vectors, take little longer than one.
//!
//! BLAKE3 of a message of at most 64 bytes is one compression of one block (specification, sections 2.2 to 2.6); what is
//! longer is left to the crate `blake3`.

use super::Digest;

/// Messages side by side.
const LANES: usize = 16;
/// Longest message that is one block, in bytes.
const BLOCK: usize = 64;
/// The block is the whole message: it starts a chunk, ends it, and is the root.
const FLAGS: u32 = 1 | 2 | 8;
const IV: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
/// Which words of the message each round mixes in, pair by pair.
const SCHEDULE: [[usize; 16]; 7] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8],
    [3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1],
    [10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6],
    [12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4],
    [9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7],
    [11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13],
];

/// One word of each message.
type Word = [u32; LANES];

/// Takes messages and gives their digests, in order.
pub struct Digests {
    blocks: [[u8; BLOCK]; LANES],
    lengths: Word,
    /// Which digest each block is to give.
    of: [usize; LANES],
    filled: usize,
    done: Vec<Digest>,
}

impl Digests {
    /// Room for so many.
    pub fn with_capacity(messages: usize) -> Self {
        Digests {
            blocks: [[0; BLOCK]; LANES],
            lengths: [0; LANES],
            of: [0; LANES],
            filled: 0,
            done: Vec::with_capacity(messages),
        }
    }

    /// Adds a message.
    pub fn push(&mut self, message: &[u8]) {
        if message.len() > BLOCK {
            self.done.push(Digest::of(message));
            return;
        }
        let lane = self.filled;
        self.blocks[lane][..message.len()].copy_from_slice(message);
        self.blocks[lane][message.len()..].fill(0);
        self.lengths[lane] = message.len() as u32;
        self.of[lane] = self.done.len();
        self.done.push(Digest::default());
        self.filled += 1;
        if self.filled == LANES {
            self.flush();
        }
    }

    /// The digests of all messages.
    pub fn finish(mut self) -> Vec<Digest> {
        self.flush();
        self.done
    }

    fn flush(&mut self) {
        let words = compress(&self.blocks, &self.lengths);
        for lane in 0..self.filled {
            for (bytes, word) in self.done[self.of[lane]].0.chunks_exact_mut(4).zip(&words) {
                bytes.copy_from_slice(&word[lane].to_le_bytes());
            }
        }
        self.filled = 0;
    }
}

/// The first words of each message's hash, by the widest vectors that the processor has.
fn compress(blocks: &[[u8; BLOCK]; LANES], lengths: &Word) -> [Word; 4] {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(blocks: &[[u8; BLOCK]; LANES], lengths: &Word) -> [Word; 4] {
            compress_lanes(blocks, lengths)
        }
        #[target_feature(enable = "avx2")]
        fn avx2(blocks: &[[u8; BLOCK]; LANES], lengths: &Word) -> [Word; 4] {
            compress_lanes(blocks, lengths)
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has just been found to have these instructions.
            return unsafe { avx512(blocks, lengths) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2(blocks, lengths) };
        }
    }
    compress_lanes(blocks, lengths)
}

#[inline(always)]
fn compress_lanes(blocks: &[[u8; BLOCK]; LANES], lengths: &Word) -> [Word; 4] {
    let mut message = [[0; LANES]; 16];
    for (lane, block) in blocks.iter().enumerate() {
        for (word, bytes) in message.iter_mut().zip(block.chunks_exact(4)) {
            word[lane] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    let mut state = [[0; LANES]; 16];
    for at in 0..8 {
        state[at] = [IV[at]; LANES];
        state[at % 4 + 8] = [IV[at % 4]; LANES];
    }
    state[14] = *lengths;
    state[15] = [FLAGS; LANES];
    for order in &SCHEDULE {
        let word = |at: usize| &message[order[at]];
        mix::<0, 4, 8, 12>(&mut state, word(0), word(1));
        mix::<1, 5, 9, 13>(&mut state, word(2), word(3));
        mix::<2, 6, 10, 14>(&mut state, word(4), word(5));
        mix::<3, 7, 11, 15>(&mut state, word(6), word(7));
        mix::<0, 5, 10, 15>(&mut state, word(8), word(9));
        mix::<1, 6, 11, 12>(&mut state, word(10), word(11));
        mix::<2, 7, 8, 13>(&mut state, word(12), word(13));
        mix::<3, 4, 9, 14>(&mut state, word(14), word(15));
    }
    std::array::from_fn(|at| std::array::from_fn(|lane| state[at][lane] ^ state[at + 8][lane]))
}

/// Mixes four words of the state, which are its column or diagonal, with two of the message.
#[inline(always)]
fn mix<const A: usize, const B: usize, const C: usize, const D: usize>(
    state: &mut [Word; 16],
    x: &Word,
    y: &Word,
) {
    let (mut a, mut b, mut c, mut d) = (state[A], state[B], state[C], state[D]);
    for lane in 0..LANES {
        a[lane] = a[lane].wrapping_add(b[lane]).wrapping_add(x[lane]);
        d[lane] = (d[lane] ^ a[lane]).rotate_right(16);
        c[lane] = c[lane].wrapping_add(d[lane]);
        b[lane] = (b[lane] ^ c[lane]).rotate_right(12);
        a[lane] = a[lane].wrapping_add(b[lane]).wrapping_add(y[lane]);
        d[lane] = (d[lane] ^ a[lane]).rotate_right(8);
        c[lane] = c[lane].wrapping_add(d[lane]);
        b[lane] = (b[lane] ^ c[lane]).rotate_right(7);
    }
    (state[A], state[B], state[C], state[D]) = (a, b, c, d);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_blake3_whatever_the_lengths_and_their_order() {
        let bytes: Vec<u8> = (0..200).collect();
        let lengths = (0..=130).chain((0..=64).rev()).chain([64, 65, 0, 1, 200, 63]);
        let messages: Vec<&[u8]> = lengths.map(|length| &bytes[200 - length..]).collect();
        let mut digests = Digests::with_capacity(messages.len());
        messages.iter().for_each(|message| digests.push(message));
        let expected: Vec<Digest> = messages.iter().map(|message| Digest::of(message)).collect();
        assert_eq!(digests.finish(), expected);
    }

    #[test]
    fn every_width_of_vectors_gives_the_same() {
        let blocks = std::array::from_fn(|lane| std::array::from_fn(|at| (lane * 7 + at) as u8));
        assert_eq!(compress(&blocks, &[64; LANES]), compress_lanes(&blocks, &[64; LANES]));
    }

    #[test]
    fn no_message_has_no_digest() {
        assert_eq!(Digests::with_capacity(0).finish(), []);
    }
}
