//! Who and what a story is about: drawn once, so that names, pronouns and things stay the same throughout.

use super::words::WORDS;
use crate::rng::Draws;

/// The values of a story's slots.
#[derive(Debug, Default)]
pub(super) struct Cast {
    slots: Vec<(&'static str, &'static str)>,
}

/// Pronouns: he, him, his, himself.
type Pronouns = [&'static str; 4];
const SHE: Pronouns = ["she", "her", "her", "herself"];
const HE: Pronouns = ["he", "him", "his", "himself"];
/// "her" as an object and "her" as a possessive are equal; "his" and "hers" standing alone are not used.
const HERO: Pronouns = ["he", "him", "his", "himself"];
const FRIEND: Pronouns = ["fhe", "fhim", "fhis", "fhimself"];
const ELDER: Pronouns = ["ohe", "ohim", "ohis", "ohimself"];
const STRANGER: Pronouns = ["she", "shim", "shis", "shimself"];

impl Cast {
    /// Draws a cast.
    pub(super) fn draw(draws: &mut Draws) -> Self {
        let mut cast = Self { slots: Vec::with_capacity(80) };
        if draws.chance(62) {
            cast.children(draws)
        } else {
            cast.animals(draws)
        }
        cast.elder(draws);
        cast.stranger(draws);
        cast.things(draws);
        cast
    }

    /// The value of a slot.
    pub(super) fn get(&self, name: &str) -> Option<&'static str> {
        self.slots.iter().find(|(slot, _)| *slot == name).map(|(_, value)| *value)
    }

    fn set(&mut self, slot: &'static str, value: &'static str) {
        self.slots.push((slot, value));
    }

    fn pronouns(&mut self, slots: Pronouns, female: bool) {
        for (slot, value) in slots.into_iter().zip(if female { SHE } else { HE }) {
            self.set(slot, value);
        }
    }

    fn children(&mut self, draws: &mut Draws) {
        let w = &*WORDS;
        let (hero_girl, friend_girl) = (draws.chance(50), draws.chance(50));
        let hero = draws.pick(if hero_girl { &w.girl } else { &w.boy });
        self.set("H", hero);
        self.pronouns(HERO, hero_girl);
        self.set(
            "kind",
            draws.pick(if hero_girl { &["girl", "little girl", "young girl"] } else { &["boy", "little boy", "young boy"] }),
        );
        let names = if friend_girl { &w.girl } else { &w.boy };
        self.set("F", distinct(draws, names, hero));
        self.pronouns(FRIEND, friend_girl);
        self.set("fkind", if friend_girl { "girl" } else { "boy" });
        self.set("others", "children");
    }

    fn animals(&mut self, draws: &mut Draws) {
        let w = &*WORDS;
        let (hero_girl, friend_girl) = (draws.chance(50), draws.chance(50));
        let hero = draws.pick(&w.pet);
        self.set("H", hero);
        self.pronouns(HERO, hero_girl);
        let kind = draws.pick(&w.animal);
        self.set("kind", kind);
        self.set("F", distinct(draws, &w.pet, hero));
        self.pronouns(FRIEND, friend_girl);
        self.set("fkind", distinct(draws, &w.animal, kind));
        self.set("others", "animals");
    }

    fn elder(&mut self, draws: &mut Draws) {
        let female = draws.chance(60);
        let w = &*WORDS;
        self.set("role", draws.pick(if female { &w.woman } else { &w.man }));
        self.pronouns(ELDER, female);
        self.set("O", "{his} {role}");
    }

    fn stranger(&mut self, draws: &mut Draws) {
        let w = &*WORDS;
        let animal = draws.chance(35);
        let female = draws.chance(50);
        let noun = draws.pick(if animal { &w.wise } else { &w.stranger });
        let female = match noun {
            "queen" | "fairy" | "mermaid" => true,
            "king" | "wizard" | "fisherman" | "knight" => false,
            _ => female,
        };
        self.set("snoun", noun);
        self.set("sadj", draws.pick(&w.sadj));
        self.pronouns(STRANGER, female);
        self.set("aS", "{an} {sadj} {snoun}");
        self.set("S", "the {snoun}");
    }

    fn things(&mut self, draws: &mut Draws) {
        let w = &*WORDS;
        let (prep, place) = draws.pick(&w.place).split_once('|').unwrap_or(("in", "the park"));
        self.set("prep", prep);
        self.set("place", place);
        self.set("inplace", "{prep} {place}");
        self.set("toplace", "to {place}");
        let t = draws.pick(&w.trait_);
        self.set("trait", t);
        self.set("trait2", distinct(draws, &w.trait_, t));
        let colored = draws.chance(30);
        let adj = draws.pick(if colored { &w.color } else { &w.oadj });
        self.set("adj", adj);
        self.set("obj", draws.pick(&w.object));
        self.set("aobj", "{an} {adj} {obj}");
        self.set("theobj", if draws.chance(50) { "the {obj}" } else { "the {adj} {obj}" });
        let food = draws.pick(&w.food);
        self.set("food", food);
        let game = draws.pick(&w.game);
        self.set("game", game);
        for (slot, list) in [
            ("dish", &w.dish),
            ("plant", &w.plant),
            ("material", &w.material),
            ("build", &w.build),
            ("clothes", &w.clothes),
            ("instrument", &w.instrument),
            ("vehicle", &w.vehicle),
            ("spot", &w.spot),
            ("room", &w.room),
            ("furniture", &w.furniture),
            ("weather", &w.weather),
            ("time", &w.time),
            ("sound", &w.sound),
            ("fear", &w.fear),
            ("skill", &w.skill),
            ("job", &w.job),
            ("hurt", &w.hurt),
            ("contest", &w.contest),
            ("wonder", &w.wonder),
            ("animal", &w.animal),
            ("color", &w.color),
            ("number", &w.number),
            ("small", &w.small),
        ] {
            self.set(slot, draws.pick(list));
        }
    }
}

/// An item other than `not`.
fn distinct(draws: &mut Draws, list: &[&'static str], not: &str) -> &'static str {
    let at = draws.below(list.len());
    if list[at] == not { list[(at + 1) % list.len()] } else { list[at] }
}
