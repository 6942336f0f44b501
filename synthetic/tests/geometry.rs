//! Each action unit must move the face the way the coding system says, the more the stronger

use affectflow_synthetic::ActionUnit::{self, *};
use affectflow_synthetic::{Face, Proportions, Units, face};

/// Check that `measure` grows strictly with the intensity of `unit`, other units given
fn grows(unit: ActionUnit, given: &[(ActionUnit, f32)], measure: impl Fn(&Face) -> f32) {
    let base = given.iter().fold(Units::default(), |units, (unit, value)| units.with(*unit, *value));
    let values: Vec<f32> = [0.0, 0.25, 0.5, 0.75, 1.0]
        .into_iter()
        .map(|intensity| measure(&face(&base.with(unit, intensity), &Proportions::default(), 0.0)))
        .collect();
    assert!(values.windows(2).all(|pair| pair[1] > pair[0]), "{unit:?}: {values:?}");
}

fn corner_lift(face: &Face) -> f32 {
    face.mouth.upper - face.mouth.right.y
}

#[test]
fn brows() {
    grows(InnerBrowRaiser, &[], |f| -f.brows[0].inner.y);
    grows(OuterBrowRaiser, &[], |f| -f.brows[1].outer.y);
    grows(BrowLowerer, &[], |f| f.brows[0].inner.y);
    grows(BrowLowerer, &[], |f| f.brows[0].inner.x - f.brows[1].inner.x);
}

#[test]
fn eyes() {
    grows(UpperLidRaiser, &[], |f| f.eyes[0].upper);
    grows(LidTightener, &[], |f| -(f.eyes[1].upper + f.eyes[1].lower));
    grows(CheekRaiser, &[], |f| -f.eyes[0].lower);
    grows(CheekRaiser, &[], |f| f.cheeks);
}

#[test]
fn nose() {
    grows(NoseWrinkler, &[], |f| f.nose.wrinkle);
    grows(NoseWrinkler, &[], |f| -f.nose.tip.y);
}

#[test]
fn mouth_closed() {
    grows(LipCornerPuller, &[], corner_lift);
    grows(LipCornerPuller, &[], |f| f.mouth.right.x);
    grows(LipCornerDepressor, &[], |f| -corner_lift(f));
    grows(UpperLipRaiser, &[], |f| -f.mouth.upper);
    grows(LipStretcher, &[], |f| f.mouth.right.x - f.mouth.left.x);
    grows(LipTightener, &[], |f| -f.mouth.lower_lip);
    grows(ChinRaiser, &[], |f| f.chin);
}

#[test]
fn mouth_open() {
    let open = |f: &Face| f.mouth.lower - f.mouth.upper;
    grows(LipsPart, &[(JawDrop, 0.3)], open);
    grows(JawDrop, &[(LipsPart, 0.6)], open);
    grows(MouthStretch, &[(LipsPart, 0.6)], open);
    grows(LowerLipDepressor, &[(LipsPart, 0.6)], open);
    grows(JawDrop, &[], |f| f.jaw);
    grows(JawDrop, &[(LipsPart, 0.6)], |f| -f.mouth.right.x);
    grows(TongueShow, &[(LipsPart, 0.6)], |f| f.mouth.tongue);
}

#[test]
fn a_resting_face_is_symmetric_and_closed() {
    let rest = face(&Units::default(), &Proportions::default(), 0.0);
    assert!(!rest.mouth.is_open());
    assert_eq!(rest.mouth.left.x, -rest.mouth.right.x);
    assert_eq!(rest.mouth.left.y, rest.mouth.right.y);
    assert_eq!(rest.brows[0].inner.x, -rest.brows[1].inner.x);
}

#[test]
fn codes_are_those_of_the_coding_system() {
    let codes: Vec<_> = ActionUnit::ALL.iter().filter_map(|unit| unit.code()).collect();
    assert_eq!(codes, [1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 20, 23, 25, 26, 27, 19]);
    assert_eq!((Tears.code(), Sweat.code()), (None, None));
}
