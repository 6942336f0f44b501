//! Which of Twemoji's faces express one of the six emotions, and why?
//!
//! Our own judgement from the Unicode names and CLDR keywords and from how the drawing looks. Left out: faces whose
//! name and drawing disagree or that mix emotions (grinning with sweat, smiling with a tear, flushed, pleading, weary cat),
//! states of the body (sleepy, ill, dizzy), attitudes (smirking, unamused, rolling eyes), kisses and tongues. Two faces
//! say disgust and nothing else.

use twemoji_assets::png::{PngTwemojiAsset, codes};

/// A face and the emotion it expresses.
pub(super) struct Face {
    asset: &'static PngTwemojiAsset,
    /// One of the six emotions.
    pub(super) class: &'static str,
}

impl Face {
    /// The code point in lower-case hex, such as `1f600`.
    pub(super) fn code(&self) -> String {
        self.asset.emoji.chars().next().map_or_else(String::new, |code| format!("{:x}", u32::from(code)))
    }

    /// The name of the code point, such as `grinning face`.
    pub(super) fn name(&self) -> &'static str {
        self.asset.label.unwrap_or(self.asset.emoji)
    }

    /// The drawing, a PNG file.
    pub(super) fn png(&self) -> &'static [u8] {
        self.asset.data.0
    }
}

const fn face(asset: &'static PngTwemojiAsset, class: &'static str) -> Face {
    Face { asset, class }
}

/// The faces, class by class.
pub(super) const FACES: &[Face] = &[
    // face with open mouth: raised eyes and a round open mouth; keywords: surprised, whoa
    face(&codes::U_1F62E, "surprise"),
    // hushed face: raised brows and a small open mouth; keywords: surprised, stunned
    face(&codes::U_1F62F, "surprise"),
    // astonished face: wide eyes and mouth; the name says it
    face(&codes::U_1F632, "surprise"),
    // exploding head: blown away; keywords: shocked, mind blown
    face(&codes::U_1F92F, "surprise"),
    // face with open eyes and hand over mouth: wide eyes, hand at the mouth; keywords: amazement, disbelief
    face(&codes::U_1FAE2, "surprise"),
    // grinning face: wide smile
    face(&codes::U_1F600, "happy"),
    // beaming face with smiling eyes: wide smile, eyes smiling too
    face(&codes::U_1F601, "happy"),
    // face with tears of joy: laughter to tears
    face(&codes::U_1F602, "happy"),
    // grinning face with big eyes: open smile
    face(&codes::U_1F603, "happy"),
    // grinning face with smiling eyes: open smile, eyes smiling too
    face(&codes::U_1F604, "happy"),
    // grinning squinting face: laughter, eyes shut
    face(&codes::U_1F606, "happy"),
    // smiling face with smiling eyes: smile with blushing cheeks
    face(&codes::U_1F60A, "happy"),
    // relieved face: closed eyes and a slight smile: contentment
    face(&codes::U_1F60C, "happy"),
    // smiling face with heart-eyes: open smile with hearts for eyes
    face(&codes::U_1F60D, "happy"),
    // slightly smiling face: slight smile
    face(&codes::U_1F642, "happy"),
    // smiling face: smile
    face(&codes::U_263A, "happy"),
    // smiling face with open hands: smile with open hands
    face(&codes::U_1F917, "happy"),
    // rolling on the floor laughing: laughter to the floor
    face(&codes::U_1F923, "happy"),
    // smiling face with hearts: smile among hearts
    face(&codes::U_1F970, "happy"),
    // partying face: party hat and horn: joy
    face(&codes::U_1F973, "happy"),
    // grinning cat with smiling eyes: a cat's wide smile
    face(&codes::U_1F638, "happy"),
    // cat with tears of joy: a cat's laughter to tears
    face(&codes::U_1F639, "happy"),
    // grinning cat: a cat's open smile
    face(&codes::U_1F63A, "happy"),
    // nauseated face: green and about to be sick; keywords: gross, nasty
    face(&codes::U_1F922, "disgust"),
    // face vomiting: being sick; keywords: gross, ew
    face(&codes::U_1F92E, "disgust"),
    // anguished face: raised brows, stare, open frown; keywords: scared, forebode
    face(&codes::U_1F627, "fear"),
    // fearful face: raised brows, stare, blue forehead; the name says it
    face(&codes::U_1F628, "fear"),
    // anxious face with sweat: cold sweat; keywords: anxious, nervous, scared
    face(&codes::U_1F630, "fear"),
    // face screaming in fear: hands on cheeks, screaming; the name says it
    face(&codes::U_1F631, "fear"),
    // worried face: oblique brows and a frown; keywords: anxious, nervous, worried
    face(&codes::U_1F61F, "fear"),
    // disappointed face: lowered eyes and a frown; keywords: dejected, sad
    face(&codes::U_1F61E, "sad"),
    // pensive face: lowered eyes; keywords: dejected, sad
    face(&codes::U_1F614, "sad"),
    // crying face: one tear
    face(&codes::U_1F622, "sad"),
    // loudly crying face: streams of tears
    face(&codes::U_1F62D, "sad"),
    // sad but relieved face: the name says it
    face(&codes::U_1F625, "sad"),
    // slightly frowning face: slight frown; keywords: sad, unhappy
    face(&codes::U_1F641, "sad"),
    // frowning face: frown; keywords: sad, unhappy
    face(&codes::U_2639, "sad"),
    // crying cat: a cat's tear
    face(&codes::U_1F63F, "sad"),
    // angry face: lowered brows; the name says it
    face(&codes::U_1F620, "anger"),
    // enraged face: red with lowered brows; the name says it
    face(&codes::U_1F621, "anger"),
    // face with steam from nose: steam from the nose; keywords: fuming, furious
    face(&codes::U_1F624, "anger"),
    // face with symbols on mouth: red, swearing; keywords: mad, cursing
    face(&codes::U_1F92C, "anger"),
    // angry face with horns: horns and lowered brows; the name says it
    face(&codes::U_1F47F, "anger"),
    // pouting cat: a cat's lowered brows and pout
    face(&codes::U_1F63E, "anger"),
];
