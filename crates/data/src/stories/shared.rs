//! Beats that many plots share, by name.

use super::Beat;

/// The shared beat of a name.
pub(super) fn find(name: &str) -> Option<Beat> {
    Some(match name {
        "@open" => OPEN,
        "@weather" => WEATHER,
        "@daily" => DAILY,
        "@idle" => IDLE,
        "@glad" => GLAD,
        "@thanks" => THANKS,
        "@try" => TRY,
        "@think" => THINK,
        "@home" => HOME,
        "@moral" => MORAL,
        "@end" => END,
        "@para" => &["\n"],
        _ => return None,
    })
}

const OPEN: Beat = &[
    "Once upon a time, there was {an} {trait} {kind} named {H}.",
    "Once upon a time, there lived {an} {trait} {kind} called {H} [{inplace}|near {place}|in a small house|at the edge of a big town].",
    "There once was {an} {kind} named {H} who was very {trait} [and {trait2}|but also a bit {trait2}|].",
    "One {weather} {time}, {an} {trait} {kind} named {H} [woke up early|looked out of the window|went outside|sat down {inplace}].",
    "{H} was {an} {kind}. {he} was {trait}[ and {trait2}|, and everyone knew it|, but sometimes {he} was {trait2}|].",
    "Long ago, in a [small|quiet|far|busy|pretty] [village|town|land|valley], there lived {an} {kind} named {H}. {he} was very {trait}.",
    "{H} was the most {trait} {kind} {inplace}.",
    "Every {time}, {an} {trait} {kind} named {H} liked to [play {~game}|walk|run|sit|dance] {inplace}.",
    "In a house [with {an} {~color} door|with {an} {~color} roof|near {place}], there lived {an} {trait} {kind}. {his} name was {H}.",
    "Do you know {H}? {H} is {an} {trait} {kind}. This is what happened to {him} one {weather} {time}.",
    "A long time ago, {an} {kind} named {H} lived with {O}. {H} was {trait}, and {O} was [very proud of {him}|{trait2}|always busy].",
    "{H}, {an} {trait} {kind}, lived near {place}.",
    "Let me tell you about {an} {kind} named {H}. {he} was {number} [weeks|months|days] away from {his} birthday, and {he} was very {trait}.",
];

const WEATHER: Beat = &[
    "It was {an} {weather} {time}.",
    "The {~sky} was {~weather} that {time}, and [birds sang|the trees moved softly|the air smelled of {~dish}|everything was quiet].",
    "One {time}, the {~sky} [came out|looked beautiful|was everywhere|made everyone smile], and {H} [smiled|ran outside|put on {his} {~clothes}].",
    "One {weather} {time}, {H} went to {place} [with {O}|alone|to play {game}|with {an} {~food} in {his} pocket].",
    "That {time} it was {weather} and {~weather} [at once|outside|{inplace}].",
    "One {time}, {H} put on {his} {~color} {clothes} and went to {place}.",
    "On {an} {weather} {time}, {H} was {inplace}.",
    "",
];

const DAILY: Beat = &[
    "{he} loved to play {game} with {his} friend {F}[, {an} {~trait_} {fkind}|].",
    "{he} liked {~food}s and {~dish}, but most of all {he} liked {job}.",
    "Every day {he} helped {O} with [{job}|the {~plant}s|dinner|the {~animal}s].",
    "{his} best friend was {F}, {an} {~trait_} {fkind}. They [played {game}|shared everything|told stories|laughed a lot] every day.",
    "{he} lived with {O}, who was [kind|funny|{~trait_}] and [made the best {dish}|told good stories|played the {instrument}|loved {~plant}s].",
    "{he} had {an} {~color} {clothes} that {he} wore every day.",
    "At night {he} dreamed about [the {~sky}|{an} {~color} {vehicle}|{an} {~wonder}|{~animal}s].",
    "In the morning {he} ate {dish}, and in the afternoon {he} played {game}.",
    "{he} could [run fast|sing well|jump high|tell good jokes|draw {~animal}s|count to {~number}], and {he} was [proud|happy|glad] about it.",
    "People said that {he} was [always|often|sometimes] {trait2}, too.",
];

const IDLE: Beat = &[
    "{he} [hummed a song|kicked a stone|watched {an} {small}|looked at the {~sky}] as {he} [walked|waited|played].",
    "{an} {small} [flew by|sat on a leaf|walked past], and {H} [waved|said hello|watched it {~adverb}].",
    "Somewhere {an} {instrument} was playing.",
    "{an} {~color} {vehicle} went by {~adverb}.",
    "",
    "",
];

const GLAD: Beat = &[
    "{H} was {~glad}.",
    "{H} felt {~glad} and {~glad}.",
    "{he} [smiled|laughed|grinned|clapped|jumped up and down|danced around] because {he} was so {~glad}.",
    "\"[Hooray|Wow|Yay|Yes|Oh my|Look]!\" [cried|shouted|said|called] {H}. {H} had never been so {~glad}.",
    "{H} was {~glad}, and {O} was {~glad}, too.",
    "A big smile came over {his} face.",
    "{his} heart [felt light|beat fast|was full of joy|was warm].",
];

const THANKS: Beat = &[
    "\"Thank you[ so much|, thank you|, {F}|]!\" said {H}.",
    "{H} said, \"Thank you for [helping me|your help|being so kind|everything].\"",
    "{H} gave {F} a big hug [and said thank you|and smiled|].",
    "\"You are [a good friend|so kind|the best|very brave],\" {H} told {F} {~adverb}.",
    "\"I could not do it without you,\" said {H}. \"[You are welcome|Any time|That is what friends are for|It was fun]!\" said {F}.",
    "{H} thanked {F} {~adverb}, and {F} [smiled|nodded|blushed|laughed].",
];

const TRY: Beat = &[
    "{he} tried [once|{number} times|again and again|very hard], but it did not work.",
    "First {he} [pushed|pulled|jumped|waited|called|looked around]. Then {he} [thought|sat down|tried again|took a deep breath].",
    "It was hard, but {H} did not give up.",
    "\"I can do it,\" {he} [whispered|said|told {himself}] {~adverb}.",
    "{he} took a deep breath and counted to {~number}.",
    "At first nothing happened. {he} felt {~sad}.",
];

const THINK: Beat = &[
    "{H} [sat down and thought|thought for a while|scratched {his} head|closed {his} eyes and thought]. Then {he} had an idea.",
    "\"What should I do?\" {he} [asked|wondered|said to {himself}].",
    "{H} thought about it [all day|all night|for a long time|while {he} ate {an} {~food}].",
    "Suddenly {he} [had an idea|knew what to do|remembered something|jumped up].",
    "{H} did not know what to do, so {he} asked {O}.",
];

const HOME: Beat = &[
    "Then they went home and ate {dish}.",
    "When the sun went down, {H} walked home [{~adverb}|with {F}|under the stars|with a smile].",
    "At home, {O} made {~dish}[ and {~dish}|] for everyone.",
    "That night, {H} told {O} [everything|the whole story|about {his} day].",
    "Later, {H} and {F} sat {~spot} and shared {an} {food}.",
    "Soon it was time for bed. {O} [kissed {him}|tucked {him} in|turned off the lamp] and said good night.",
    "In the evening, they sat by the {~furniture} and [sang songs|told stories|drank {~dish}|played {game}].",
];

const MORAL: Beat = &[
    "{H} learned that [it is good to ask for help|a true friend stays close|being kind costs nothing|every problem can be solved step by step].",
    "From that day on, {H} [never forgot what happened|was a little more {~trait_}|tried to be {~trait_}|always listened to {O}].",
    "\"[Small acts can be big|Kindness comes back|It is good to be {~trait_}|We all make mistakes],\" said {O}.",
    "And {H} knew that [friends are better than {~food}s|love is the best gift|patience is worth it|sharing makes everything better].",
    "After that, {H} was {~trait_} [every day|whenever {he} could|even when it was hard].",
    "",
];

const END: Beat = &[
    "They lived happily ever after.",
    "It was the best {time} ever.",
    "And that is how {H} and {F} became [the best of friends|even better friends|friends forever].",
    "{H} fell asleep with a smile on {his} face.",
    "The end.",
    "{H} could not wait for the next day.",
    "And they were all {~glad}.",
    "From then on, {H} and {F} [met every day|always helped each other|played {game} together|were never {~sad} for long].",
    "{H} looked up at the {~sky} and [smiled|said thank you|made a wish|felt {~glad}].",
    "Even the {~small}s seemed {~glad}.",
    "What {an} {~weather} and wonderful day it was!",
];
