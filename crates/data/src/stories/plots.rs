//! Plots about things: lost, wanted, broken, shared, built, planted.

use super::Plot;

pub(super) const PLOTS: &[Plot] = &[LOST, EARN, SHARE, BROKEN, BUILD, PLANT, GIFT, BAKE, FOUND];

const LOST: Plot = &[
    &["@open"],
    &[
        "{he} had {aobj} that {he} loved very much.",
        "{his} favorite thing was {aobj}. [{he} took it everywhere.|{O} had given it to {him}.|It was a gift from {O}.]",
        "Of all {his} things, {H} liked {his} {adj} {obj} best.",
        "{he} never went anywhere without {his} {adj} {obj}.",
    ],
    &["@weather"],
    &["@para"],
    &[
        "But then {H} looked around. {theobj} was gone!",
        "When {he} came home, {he} could not find {theobj}.",
        "Suddenly {he} saw that {theobj} was missing. \"Oh no!\" {he} cried. \"Where is my {obj}?\"",
        "{he} reached into {his} bag, but {theobj} was not there.",
        "While {he} played {game}, {he} lost {theobj}.",
    ],
    &[
        "{H} was {~sad}. {he} looked [{~spot}|in the {room}], but it was not there. {he} looked {~spot}, but it was not there, either.",
        "{he} looked everywhere: {~spot}, {~spot}, and even {~spot}. [There was no {obj}.|Nothing!|{he} found only {an} {small}.]",
        "{he} felt {~sad} and began to cry. \"I will never see my {obj} again,\" {he} said.",
        "{he} searched the {room} and looked behind the {furniture}, but {he} only found {an} old {~clothes}.",
    ],
    &["@think"],
    &["@para"],
    &[
        "Then {F} came by. \"Why are you {~sad}?\" {fhe} asked. \"I lost my {obj},\" said {H}. \"I will help you look for it,\" said {F}.",
        "{F} saw {H} and asked, \"What is wrong?\" {H} told {F} about {theobj}. \"Let us look together,\" said {F} {~adverb}.",
        "{his} friend {F} heard the news and came {~adverb}. \"Do not worry,\" {fhe} said. \"Two can look better than one.\"",
        "{he} met {aS}. \"Have you seen {an} {adj} {obj}?\" asked {H}. \"I have not,\" said {S}, \"but your friend {F} is good at finding things.\" So {H} went to get {F}.",
    ],
    &[
        "Together they looked {~adverb}. At last {F} looked {spot}. \"Is this your {obj}?\" {fhe} called. It was!",
        "They walked back [the way {H} had come|step by step|to {place}]. And there it was, {spot}!",
        "They searched for [an hour|a long time|{number} minutes]. Then {H} saw something {adj} {spot}. It was {theobj}!",
        "{F} had an idea. \"Where did you play last?\" {fhe} asked. {H} remembered, and they ran there. {theobj} was {spot}.",
        "{an} {small} sat {spot}. Next to it lay {theobj}.",
    ],
    &["@glad"],
    &["@thanks"],
    &[
        "From then on, {H} [took good care of {his} {obj}|always put {his} {obj} back in its place|kept {theobj} in {an} {~color} box].",
        "\"Next time I will be more careful,\" said {H}.",
        "{H} let {F} play with {theobj} for the whole day.",
        "{H} held {theobj} tight all the way home.",
    ],
    &["@home"],
    &["@end"],
];

const EARN: Plot = &[
    &["@open"],
    &["@daily"],
    &[
        "One {time}, {he} saw {aobj} in [a shop|the window of a store|the market]. {he} wanted it very much.",
        "More than anything, {H} wanted {aobj}.",
        "At the [store|fair|market], {he} saw {aobj}. It was [beautiful|perfect|just right|the best one ever].",
    ],
    &[
        "\"Can I have it?\" {he} asked {O}. \"It costs {number} coins,\" said {O}. \"You must earn them.\"",
        "But it cost {number} coins, and {H} had only [one|two]. {he} felt {~sad}.",
        "{he} looked in {his} [pocket|purse|piggy bank|box]. It was empty.",
        "\"You can buy it if you work for it,\" said {O} {~adverb}.",
    ],
    &["@para"],
    &["@think"],
    &[
        "So {H} got to work. {he} helped a neighbor by {job}. Then {he} earned more by {~job}.",
        "{he} asked {aS}, \"Do you have some work for me?\" \"Yes,\" said {S}. \"I need help with {job}.\"",
        "{he} started {job} every {~time}. It was [hard|slow|tiring], but {he} got a coin each time.",
        "First {he} tried {job}. After that {he} tried {~job}. {F} helped {him}, too.",
    ],
    &["@try"],
    &[
        "Day after day, {H} worked {~adverb}, and the coins [grew|filled a jar|made a happy sound].",
        "After {number} days, {he} counted {his} coins. There were enough!",
        "At last {he} had enough coins. {he} ran to the shop {~adverb}.",
        "\"You have worked so hard,\" said {O}. \"I am proud of you.\"",
    ],
    &["@para"],
    &[
        "{H} put the coins on the counter and said, \"One {obj}, please!\"",
        "But on the way {he} met {F}, who was {~sad} because {fhe} had [lost {fhis} {~clothes}|nothing to eat|dropped {fhis} {food}]. {H} used one coin to help. Even so, there was enough for {theobj}.",
        "The shopkeeper smiled and gave {him} {theobj}. \"You have earned it,\" said {O}.",
        "Soon {theobj} was {his}. {he} carried it home {~adverb}.",
    ],
    &["@glad"],
    &[
        "{theobj} was even better because {he} had worked for it.",
        "{H} learned that things you work for are [the best things|worth more|special].",
        "\"Work can be fun,\" {he} said, \"when you know why you do it.\"",
        "@moral",
    ],
    &["@end"],
];

const SHARE: Plot = &[
    &["@open"],
    &["{he} had {aobj}[, and {he} loved it|, and nobody else could touch it|]."],
    &["@weather"],
    &[
        "{F} came and asked, \"Can I play with your {obj}?\"",
        "{his} friend {F} saw {theobj}. \"May I try it?\" {fhe} asked {~adverb}.",
        "{F} wanted to play with {theobj}, too.",
    ],
    &[
        "\"No!\" said {H}. \"It is mine!\"",
        "But {H} did not want to share. {he} held {theobj} tight.",
        "{H} shook {his} head. \"You might break it,\" {he} said.",
        "\"Go away,\" said {H}. \"I want to play alone.\"",
    ],
    &[
        "{F} was {~sad} and walked away {~adverb}.",
        "{F} looked down and said nothing.",
        "A tear ran down {F}'s face.",
        "\"That is not nice,\" said {F}, and {fhe} went home.",
    ],
    &["@para"],
    &[
        "{H} played alone, but it was not much fun. {he} felt {~sad}.",
        "After a while, {H} got bored. There was nobody to play {game} with.",
        "{H} sat {spot} with {his} {obj}. It was very quiet. {he} missed {F}.",
        "Soon the {obj} did not seem so {adj} anymore.",
    ],
    &[
        "{O} saw {him} and asked, \"Where is {F}?\" {H} told {ohim} what had happened. \"Sharing makes things more fun,\" said {O}.",
        "\"How would you feel if {F} did not share with you?\" asked {O}. {H} thought about it. \"I would be {~sad},\" {he} said.",
        "{aS} sat nearby. \"{an} {obj} is only {an} {obj},\" said {S}, \"but a friend is a treasure.\"",
        "{H} remembered how {F} had once shared {an} {food} with {him}. {he} was ashamed.",
    ],
    &["@para"],
    &[
        "So {H} ran to {F}. \"I am sorry,\" {he} said. \"Do you want to play with my {obj}?\"",
        "{he} went to {F}'s house and knocked {~adverb}. \"I was wrong,\" said {H}. \"Let us share.\"",
        "{H} found {F} {inplace}. \"Here,\" {he} said {~adverb}. \"You can have the first turn.\"",
    ],
    &[
        "{F} smiled. \"[Thank you|I forgive you|Yes, please|I would love to]!\" {fhe} said.",
        "\"It is okay,\" said {F}. \"We are still friends.\"",
        "{F}'s face lit up at once.",
    ],
    &[
        "They took turns and played until the {~sky} [turned pink|was gone|grew dark].",
        "They played {game} with {theobj}, and it was twice as much fun.",
        "{F} brought {an} {~oadj} {~object}, and they played with both.",
    ],
    &["@glad"],
    &[
        "{H} learned that sharing is fun.",
        "From that day on, {H} always shared {his} things.",
        "\"Sharing is caring,\" said {O}.",
        "@moral",
    ],
    &["@end"],
];

const BROKEN: Plot = &[
    &["@open"],
    &["{O} had {aobj} that [stood on the {furniture}|was very old|was very special to {ohim}|nobody was allowed to touch]."],
    &[
        "\"Please do not play near it,\" {O} always said.",
        "\"Be careful in the {room},\" said {O}.",
        "{H} knew that {he} must not touch it.",
    ],
    &["@weather"],
    &[
        "But {H} was bored and played {game} in the {room}.",
        "{H} and {F} were playing {game} inside. They ran [too fast|around the {furniture}|{~adverb}].",
        "{H} wanted to look at {theobj}. {he} climbed on {an} {~furniture} and reached out.",
        "While {O} was busy with {job}, {H} took {theobj} to play.",
    ],
    &[
        "[Crash|Bang|Boom|Thud|Smash]! It fell down and broke.",
        "There was a loud {sound}. {theobj} lay on the floor, broken in {number} pieces.",
        "It slipped out of {his} hands and broke with {an} {sound}.",
    ],
    &["@para"],
    &[
        "{H} felt {~sad}. {his} heart beat fast.",
        "\"Oh no! What have I done?\" whispered {H}.",
        "{H} wanted to hide. {he} put the pieces under the {~furniture}.",
        "\"Maybe {ohe} will not see it,\" {he} thought. But {he} felt {~sad}.",
    ],
    &[
        "\"You should tell the truth,\" said {F} {~adverb}.",
        "{he} could say that {an} {~animal} did it. But that would be a lie.",
        "{he} could not eat {his} {dish}, and {he} could not sleep.",
        "Just then {O} came in. \"What was that {sound}?\" {ohe} asked.",
    ],
    &["@think"],
    &["@para"],
    &[
        "At last {H} went to {O}. \"I broke your {obj},\" {he} said {~adverb}. \"I am very sorry.\"",
        "{H} took a deep breath. \"It was me,\" {he} said. \"I did not mean to break it.\"",
        "With tears in {his} eyes, {H} told {O} everything.",
    ],
    &[
        "{O} was quiet for a moment. Then {ohe} hugged {him}. \"Thank you for telling the truth,\" {ohe} said.",
        "\"I am [sad|a little sad] about the {obj},\" said {O}, \"but I am proud that you were honest.\"",
        "{O} sighed. \"{an} {obj} can be fixed,\" {ohe} said. \"A lie is harder to fix.\"",
        "{O} was not angry. \"Everybody makes mistakes,\" {ohe} said {~adverb}.",
    ],
    &[
        "Together they fixed {theobj} with [glue|tape|string|a bit of luck]. It [looked almost new|was even more special now|was a little crooked, but nobody minded].",
        "To make it right, {H} helped with {job} for {number} days.",
        "{H} made a new {obj} out of {material}. {O} loved it even more than the old one.",
        "They swept up the pieces, and {H} promised to be more careful.",
    ],
    &[
        "{H} felt {~glad}. It is always better to tell the truth.",
        "{H} learned that telling the truth makes you feel lighter.",
        "From that day on, {H} was always honest.",
    ],
    &["@home"],
    &["@end"],
];

const BUILD: Plot = &[
    &["@open"],
    &["@daily"],
    &[
        "One {weather} {time}, {H} wanted to build {an} {build}.",
        "\"Let us build {an} {build}!\" said {H} to {F}.",
        "{H} had a big plan. {he} wanted to make {an} {build} {inplace}.",
        "{H} saw a picture of {an} {build} in a book. \"I want to make one, too,\" {he} said.",
    ],
    &[
        "{he} looked for {material}. {F} brought {~material}.",
        "They found {material} {spot}, and {an} {~oadj} {~object} in the {room}.",
        "All they had was {material} and {~material}.",
        "{O} gave them {material} and some {~color} paint.",
    ],
    &["@para"],
    &[
        "{H} worked {~adverb}, and {F} [held the pieces|carried the {material}|sang a song|handed {him} things].",
        "{H} began to build [at once|all alone|from the bottom up]. {he} did not want any help.",
        "They worked all morning. Bit by bit the {build} grew.",
    ],
    &[
        "But then the {~sky} changed, and a strong wind came. [Crash|Bang|Boom|Whoosh]! The {build} fell down.",
        "Just when it was almost done, it began to wobble. Then it fell apart with a [crash|bang|thud].",
        "But the {build} was [too heavy|too small|crooked], and it did not stand.",
        "But {H} and {F} could not agree. \"It should be {~color}!\" said {H}. \"No, {~color}!\" said {F}. They stopped working.",
    ],
    &[
        "{H} was {~sad}. \"It will never work,\" {he} said.",
        "\"All that work for nothing!\" cried {H}.",
        "They sat down {spot} and looked {~sad}.",
        "{H} wanted to give up.",
    ],
    &["@para"],
    &[
        "{aS} came by and said, \"[A good {build} needs strong feet|Start with the biggest pieces|Use more {~material}|Work together, and it will stand].\"",
        "\"We can try again,\" said {F}. \"This time we will do it step by step.\"",
        "{O} came to look. \"Even the best builders fail sometimes,\" {ohe} said. \"What did you learn?\"",
        "Then {H} had an idea. \"We need to make the bottom wider,\" {he} said.",
    ],
    &["@try"],
    &[
        "So they built it again, {~adverb} and {~adverb}. This time it stood.",
        "{H} asked all the {others} to help. One brought {~material}, another brought {~material}.",
        "{H} put the last piece on top. They held their breath. It did not fall!",
        "By the time the sun went down, the {build} was done.",
    ],
    &[
        "It was the best {build} in the whole world.",
        "It was a bit crooked, but it was theirs.",
        "They painted it {~color} and {~color}.",
        "They put {aobj} on top of it.",
        "All the {others} came to see it.",
    ],
    &["@glad"],
    &[
        "Together they had done what one could not do alone.",
        "\"We make a good team,\" said {F}.",
        "{H} learned that it is okay to fail if you try again.",
        "",
    ],
    &["@home"],
    &["@end"],
];

const PLANT: Plot = &[
    &["@open"],
    &[
        "One {time}, {O} gave {him} a tiny seed. \"If you care for it, it will become {an} {plant},\" {ohe} said.",
        "One {time}, {H} found a seed {spot}. \"What will it be?\" {he} wondered.",
        "{aS} gave {H} a seed. \"Be patient,\" said {S}.",
    ],
    &[
        "{H} dug a hole {inplace}, put in the seed, and covered it with soil.",
        "{H} planted it in {an} {~color} pot and put it by the window.",
        "{he} planted the seed {~adverb} next to the fence.",
    ],
    &[
        "Every day {he} gave it water.",
        "Every morning {he} watered it and said, \"Good morning, little seed.\"",
        "{he} sang to it while {he} watered it.",
    ],
    &["@para"],
    &[
        "But nothing happened. {H} was {~sad}. \"When will it grow?\" {he} asked {O}.",
        "One day passed. Two days passed. {number} days passed. There was still nothing to see.",
        "{he} wanted to dig it up to look, but {O} said, \"No, it needs time.\"",
        "\"Maybe it is broken,\" said {F}.",
    ],
    &[
        "\"Good things take time,\" said {O} {~adverb}.",
        "\"Wait and see,\" said {O} with a smile.",
        "\"The roots grow first, and nobody sees them,\" said {O}.",
        "So {H} waited. {he} played {game} and helped with {job}, but {he} never forgot the water.",
    ],
    &[
        "Then one {weather} morning, {H} saw something green. \"It is growing!\" {he} shouted.",
        "At last a tiny green leaf came out of the ground.",
        "One {time} after the rain, there was a little green tip in the soil.",
    ],
    &["@para"],
    &[
        "But {an} {~small} began to eat the leaves. {H} [carried it away {~adverb}|built a little fence|asked it kindly to leave].",
        "Then a storm came. {H} ran out and covered the plant with {his} {clothes}.",
        "It grew and grew. Soon it was as tall as {F}.",
        "When the days were hot, {H} gave it shade with {an} {~color} umbrella.",
    ],
    &[
        "After {number} weeks, it was the most beautiful {plant} {inplace}.",
        "By summer it had become a big, strong {plant}.",
        "In the end there was a fine {plant}, and everybody came to see it.",
    ],
    &["@glad"],
    &[
        "{H} gave some of the new seeds to {F}, so that {fhe} could grow one, too.",
        "{he} shared what grew with all the {others}.",
        "\"You were so patient,\" said {O}. \"I am proud of you.\"",
        "{H} learned that patience makes things grow.",
    ],
    &["@end"],
];

const GIFT: Plot = &[
    &["@open"],
    &[
        "Soon it would be {F}'s birthday. {H} wanted to give {fhim} something special.",
        "{F} was {his} best friend, and tomorrow was {F}'s birthday.",
        "It was almost {O}'s birthday, and {H} and {F} wanted to make {ohim} happy.",
    ],
    &[
        "But {H} had no money. \"What can I give?\" {he} wondered.",
        "{he} looked at {an} {~oadj} {~object} in the store, but it cost too much.",
        "{he} had {number} ideas, but none of them was good enough.",
        "@think",
    ],
    &["@para"],
    &["@think"],
    &[
        "{he} decided to make {aobj} with {his} own hands.",
        "\"I will make {aobj} out of {material},\" {he} said.",
        "{he} took {material}, some {~color} paint, and {an} {~color} ribbon. Then {he} began to make {aobj}.",
    ],
    &["@try"],
    &[
        "{he} worked in the {room} until late.",
        "The paint got on {his} {~clothes}, but {H} did not mind.",
        "When it was done, {he} wrapped it in {~color} paper.",
        "It was not perfect, but it was made with love.",
    ],
    &["@para"],
    &[
        "The next day there was a party with {~dish} and {food}s. Everybody brought gifts: {an} {~oadj} {~object}, {an} {~color} {~object}, and {an} {~instrument}.",
        "On the day of the party, all the {others} came. They played {game} and ate {~dish}.",
        "At the party, {H} saw the big gifts of the others. {he} felt {~sad}, because {his} was so small.",
    ],
    &[
        "Then it was {his} turn. {H} gave the gift {~adverb}.",
        "\"This is for you,\" said {H} {~adverb}.",
        "{H} wanted to hide {his} gift, but {F} had already seen it. \"What is that?\" {fhe} asked.",
    ],
    &[
        "The paper came off, and there was {theobj}. \"You made this? It is the best gift of all!\"",
        "\"{an} {adj} {obj}! Just what I wanted,\" said {F}. \"Thank you, {H}!\"",
        "For a moment it was quiet. Then everyone began to clap.",
    ],
    &["@glad"],
    &[
        "{H} learned that a gift from the heart is the best gift.",
        "It is not the price that makes a gift great.",
        "Making someone happy made {H} happy, too.",
    ],
    &["@home"],
    &["@end"],
];

const BAKE: Plot = &[
    &["@open"],
    &[
        "One {weather} {time}, {H} and {O} wanted to make {an} {food} cake.",
        "{H} was hungry. \"Let us make {dish}!\" {he} said to {O}.",
        "{H} loved to cook. One {time}, {he} wanted to make {dish} for {F}.",
    ],
    &[
        "They took [flour, eggs, and sugar|a big bowl and a spoon|{~food}s, salt, and {~dish}] and began.",
        "They put on their {~clothes} and washed their hands.",
        "The {room} soon smelled of {~dish}.",
    ],
    &[
        "\"First we mix, then we wait,\" said {O}.",
        "\"Can I stir?\" asked {H}. \"Of course,\" said {O}.",
        "{H} stirred {~adverb}.",
    ],
    &["@para"],
    &[
        "But when {O} turned around, {H} put in salt and not sugar.",
        "But {H} was in a hurry and made the fire too hot. Soon there was smoke.",
        "But then the bowl fell down with {an} {sound}, and the {dish} was on the floor.",
        "But there were no more {~food}s. \"What now?\" asked {H}.",
        "But {an} {~animal} came in through the window and ate everything.",
    ],
    &[
        "{he} tasted it. \"Yuck!\" {he} cried.",
        "{H} was {~sad}. \"I ruined it,\" {he} said.",
        "\"Oh no,\" said {O}. Then {ohe} began to laugh.",
        "There was flour everywhere, even on {O}'s nose.",
    ],
    &["@think"],
    &["@para"],
    &[
        "\"Mistakes happen,\" said {O}. \"Let us try again.\" So they cleaned the {room} and started over.",
        "{F} came with a basket of {~food}s. \"You can have these,\" {fhe} said.",
        "They used {~food}s and honey this time. Nobody had ever done that before.",
        "{H} read the recipe {~adverb}, word by word. This time {he} did everything right.",
    ],
    &[
        "After [an hour|{number} minutes|a long wait], it was done. It looked [golden|perfect|funny|wonderful].",
        "When it came out of the oven, it smelled so good that all the {others} came to the door.",
        "They waited and waited. At last it was ready.",
    ],
    &[
        "They called {F}, and everyone got a piece.",
        "\"This is the best {dish} I have ever had!\" said {F}.",
        "{H} took a bite. It was [warm|sweet|delicious|the best thing {he} had ever tasted].",
        "They gave some to {aS}, who said, \"Yum!\"",
    ],
    &["@glad"],
    &["@moral"],
    &["@end"],
];

const FOUND: Plot = &[
    &["@open"],
    &["@weather"],
    &["@idle"],
    &[
        "{H} was walking {inplace} when {he} saw something {spot}. It was {aobj}!",
        "While {he} was playing {game}, {H} found {aobj} {spot}.",
        "There, {spot}, lay {aobj}. {H} picked it up {~adverb}.",
    ],
    &[
        "\"Whose is this?\" {he} wondered. It was [so pretty|very {adj}|just what {he} had always wanted].",
        "{he} wanted to keep it. Nobody had seen {him}.",
        "\"Finders keepers!\" said {F}. But {H} was not so sure.",
    ],
    &["@para"],
    &["@think"],
    &[
        "{he} asked {F}, but it was not {fhis}. {he} asked {O}, but {ohe} had not lost anything, either.",
        "{H} went from house to house. \"Did you lose {an} {obj}?\" {he} asked. Everyone said no.",
        "{he} put up a sign {inplace}: \"Found: one {obj}.\"",
        "\"Somebody may be {~sad} because of it,\" said {O}. So {H} went to look for the owner.",
    ],
    &[
        "Then {he} saw {aS} who was {~sad}. \"I have lost my {obj},\" said {S}. \"It was a gift from my [mother|friend|child].\"",
        "At last {he} met {aS}, who was looking {spot}. \"Are you looking for this?\" asked {H}.",
        "{aS} came down the road, crying {~adverb}. \"What is wrong?\" asked {H}. \"My {obj} is gone,\" said {S}.",
    ],
    &["@para"],
    &[
        "{H} gave {theobj} back. \"Here it is,\" {he} said {~adverb}.",
        "It was hard to let go, but {H} held out {theobj}. \"It is yours,\" {he} said.",
        "{H} smiled and put {theobj} into {shis} hands.",
    ],
    &[
        "{S} was so {~glad} that {she} [danced|cried|hugged {him}|laughed out loud].",
        "\"You are {an} honest {kind},\" said {S}.",
        "\"Thank you! Not everyone would do that,\" said {S}.",
    ],
    &[
        "As a thank-you, {she} gave {him} {an} {~oadj} {~object}.",
        "{she} invited {H} and {F} to eat {~dish} and {food}s.",
        "{she} showed {him} how to {skill}.",
        "\"Now you have a new friend,\" said {S}.",
    ],
    &["@glad"],
    &["Being honest felt better than any {obj}.", "{H} learned that doing the right thing makes you happy.", "@moral"],
    &["@end"],
];
