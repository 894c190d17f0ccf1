//! The word lists: comma-separated text, split once.

mod people;
mod things;
mod world;

use std::sync::LazyLock;

macro_rules! lists {
    ($($field:ident = $file:ident :: $name:ident;)*) => {
        /// All word lists.
        pub(super) struct Words { $(pub(super) $field: Vec<&'static str>,)* }

        pub(super) static WORDS: LazyLock<Words> = LazyLock::new(|| Words { $($field: split($file::$name),)* });

        impl Words {
            /// The list that a template names as `{~name}`.
            pub(super) fn list(&self, name: &str) -> Option<&[&'static str]> {
                match name { $(stringify!($field) => Some(&self.$field),)* _ => None }
            }
        }
    };
}

lists! {
    girl = people::GIRLS; boy = people::BOYS; pet = people::PETS; animal = people::ANIMALS; trait_ = people::TRAITS;
    woman = people::WOMEN; man = people::MEN; sadj = people::STRANGER_ADJ; stranger = people::STRANGERS; wise = people::WISE_ANIMALS;
    object = things::OBJECTS; oadj = things::OBJECT_ADJ; color = things::COLORS; food = things::FOODS; dish = things::DISHES;
    plant = things::PLANTS; material = things::MATERIALS; build = things::BUILDS; clothes = things::CLOTHES;
    instrument = things::INSTRUMENTS; vehicle = things::VEHICLES;
    place = world::PLACES; spot = world::SPOTS; room = world::ROOMS; furniture = world::FURNITURE; weather = world::WEATHER;
    time = world::TIMES; adverb = world::ADVERBS; glad = world::GLAD; sad = world::SAD; sound = world::SOUNDS; fear = world::FEARS;
    skill = world::SKILLS; game = world::GAMES; job = world::JOBS; hurt = world::HURT; contest = world::CONTESTS;
    wonder = world::WONDERS; sky = world::SKY; number = world::NUMBERS; small = world::SMALL;
}

fn split(text: &'static str) -> Vec<&'static str> {
    text.split(',').map(str::trim).filter(|w| !w.is_empty()).collect()
}
