//! Plots about others and oneself: friends, fears, warnings, contests, journeys, wonders.

use super::Plot;

pub(super) const PLOTS: &[Plot] = &[FRIEND, FEAR, WARNING, HURT, CONTEST, WOODS, STORM, SKILL, MYSTERY, WONDER, STRANGER, BOAST];

const FRIEND: Plot = &[
    &["@open"],
    &[
        "{he} had [no friends|just moved to a new house|nobody to play with], and {he} was often {~sad}.",
        "{H} wanted a friend more than anything.",
        "It was {his} first day at a new school, and {he} did not know anyone.",
    ],
    &["@weather"],
    &[
        "One {time}, {H} saw {an} {~trait_} {fkind} {inplace}.",
        "Then {he} saw {an} {fkind} who sat alone {spot}.",
        "A new {fkind} came to {place}. {fhe} looked {~trait_}.",
    ],
    &["@para"],
    &[
        "{H} wanted to say hello, but {he} was too shy.",
        "\"What if {fhe} does not like me?\" thought {H}.",
        "The {fkind} did not look up. {fhe} was [reading|crying|playing with {an} {~object}|eating {an} {food}].",
    ],
    &["@think"],
    &[
        "{H} took {his} {adj} {obj} and went over. \"Hello, I am {H},\" {he} said {~adverb}. \"What is your name?\" \"I am {F},\" said the {fkind}.",
        "{H} took a deep breath and walked over. \"Would you like {an} {food}?\" {he} asked. \"Yes, please,\" said the {fkind}. \"My name is {F}.\"",
        "Just then {his} {obj} rolled away and stopped at the feet of the {fkind}. \"Is this yours?\" {fhe} asked. \"I am {F}.\"",
    ],
    &[
        "\"Do you want to play {game}?\" asked {H}. {F} nodded {~adverb}.",
        "It turned out that {F} loved {game}, too.",
        "\"I was afraid that nobody would talk to me,\" said {F}. \"Me, too!\" said {H}. They both laughed.",
        "\"I can show you how to {skill},\" said {F}.",
    ],
    &["@para"],
    &[
        "They played {game} all day and shared {dish}.",
        "They ran to {place}, looked at {an} {small}, and told each other secrets.",
        "First they played {game}, and then they played {~game}. {F} was good at one, and {H} was good at the other.",
    ],
    &[
        "But then {H} fell and hurt {his} knee. {F} helped {him} up and [held {his} hand|told {him} a joke|put a leaf on it].",
        "Then it began to rain. They hid {spot} and told stories until it stopped.",
        "Some other {others} laughed at {F}. \"Stop that,\" said {H}. \"{F} is my friend.\"",
        "",
    ],
    &["@thanks"],
    &["@home"],
    &[
        "\"I made a friend today!\" {H} told {O}.",
        "{H} learned that saying hello can change everything.",
        "{H} was not lonely anymore.",
    ],
    &["@end"],
];

const FEAR: Plot = &[
    &["@open"],
    &[
        "{he} was not afraid of many things, but {he} was afraid of {fear}.",
        "But there was one problem: {H} was afraid of {fear}.",
        "{H} had a secret. {he} was very afraid of {fear}.",
    ],
    &[
        "When the others played {game}, {H} often stayed [at home|away|behind {O}].",
        "\"Everyone will laugh at me,\" {he} thought.",
        "{O} knew about it and held {his} hand whenever {he} was {~sad}.",
        "@daily",
    ],
    &["@para"],
    &["@weather"],
    &[
        "That {time}, {F} got into trouble. {fhe} was stuck {inplace} and called for help.",
        "Then {H} heard a small cry. {an} {hurt} was in danger!",
        "{F} said, \"Come with me to {place}!\" But {H} knew what was waiting there: {fear}.",
        "Suddenly {O} needed help, and nobody else was near.",
    ],
    &[
        "{H} [shook|froze|wanted to run away]. {he} thought of {fear}, and {his} legs felt like {~dish}.",
        "{his} heart went {sound}, {sound}, {sound}.",
        "\"I cannot do it,\" {he} whispered.",
    ],
    &[
        "Then {he} remembered what {O} had said: \"Being brave means being afraid and doing it anyway.\"",
        "\"Count to {number} and breathe,\" {aS} had once told {him}.",
        "{he} held {his} {obj} tight and thought of {O}.",
        "\"You are stronger than you think,\" said {F} {~adverb}.",
    ],
    &["@para"],
    &[
        "So {H} took one small step. Then another. And another.",
        "{he} closed {his} eyes, counted to {number}, and went.",
        "{he} sang a little song to make {himself} brave, and {he} went on {~adverb}.",
    ],
    &["@try"],
    &[
        "And then it was over. It was not so bad after all!",
        "Nothing bad happened. {fear} did not seem so big anymore.",
        "{he} had done it! Everything was fine, and everyone was safe.",
        "{H} looked back. Was that all?",
    ],
    &[
        "\"You did it!\" cried {F}.",
        "\"You were so brave,\" said {O} and hugged {him}.",
        "All the {others} clapped their hands.",
        "\"You saved the day!\" everyone said.",
    ],
    &["@glad"],
    &[
        "After that, {H} was not so afraid of {fear} anymore.",
        "{H} learned that fear gets smaller when you walk toward it.",
        "{he} was still a little afraid, but now {he} knew that {he} could be brave.",
        "@moral",
    ],
    &["@home"],
    &["@end"],
];

const WARNING: Plot = &[
    &["@open"],
    &[
        "\"Do not go {inplace} alone,\" {O} always said.",
        "{O} told {him}, \"Never open the door in the {room}.\"",
        "\"Stay close to home today,\" said {O}, \"because {an} {~weather} storm is coming.\"",
        "\"Do not eat the {color} {food}s,\" {O} told {him}.",
    ],
    &[
        "But {H} was {trait2} and did not listen.",
        "\"Yes, yes,\" said {H}, but {he} was thinking of something else.",
        "{H} did not understand why. It looked so [nice|easy|fun].",
    ],
    &["@weather"],
    &["@para"],
    &[
        "When {O} was busy with {job}, {H} slipped out {~adverb}.",
        "\"Just one time,\" {he} thought, and {he} [tiptoed|ran|walked] away {~adverb}.",
        "{F} said, \"We should not do this.\" But {H} went anyway.",
    ],
    &["@idle"],
    &[
        "At first it was fun. {he} saw {an} {animal}, {an} {wonder}, and {number} {~small}s.",
        "At first everything was fine. {he} [sang|danced|laughed] and played {game}.",
        "It was better than {he} had thought. \"My {role} worries too much,\" {he} said.",
    ],
    &[
        "Then {sound}! {he} slipped and fell into a deep hole.",
        "But soon it grew dark, and {he} heard {an} {sound}. {he} did not know the way home.",
        "Then {his} tummy began to hurt very much.",
        "Suddenly {he} got stuck {spot} and could not move.",
        "But then the ground began to shake, and {he} fell {spot}.",
    ],
    &[
        "\"Help! Help!\" {he} cried.",
        "{H} was {~sad}. \"I wish I had listened,\" {he} said.",
        "{he} cried and called for {O}, but nobody came.",
    ],
    &["@para"],
    &[
        "Luckily, {aS} heard {him} and came {~adverb}.",
        "{F} ran to get {O} as fast as {fhe} could.",
        "At last {he} heard a voice. It was {O}!",
        "{an} {~trait_} {animal} found {him} and called for help.",
    ],
    &[
        "They pulled {him} out with {an} {~color} rope.",
        "With a long branch and a lot of strength, they got {him} out.",
        "{he} was saved, but {he} was cold and {~sad}.",
        "Soon {H} was safe again, wrapped in {an} {~oadj} blanket.",
    ],
    &[
        "\"I am sorry,\" said {H}. \"I should have listened to you.\"",
        "{H} hugged {O} and said, \"I will never do that again.\"",
        "\"Do you know now why I said it?\" asked {O}. {H} nodded {~adverb}.",
    ],
    &[
        "{O} gave {him} a bowl of {dish}. \"I was so {~sad},\" {ohe} said. \"I am glad that you are safe.\"",
        "\"Rules are there to keep you safe,\" said {O}.",
        "{O} was not angry, only {~glad} that {H} was back.",
    ],
    &["From that day on, {H} listened to {O}.", "{H} learned to think first and then act.", "And {H} never did it again."],
    &["@end"],
];

const HURT: Plot = &[
    &["@open"],
    &["@daily"],
    &["@weather"],
    &["@para"],
    &[
        "{inplace}, {H} heard a soft {sound}. {spot} there was {an} {hurt}.",
        "One {time}, {H} found {an} {hurt} {spot}. It could not move.",
        "On the way {toplace}, {he} saw {an} {hurt} {spot}.",
    ],
    &[
        "Its leg was hurt.",
        "It was [cold and hungry|shaking|very small|all alone]. It looked at {him} with big eyes.",
        "It had {an} {~oadj} string around its foot.",
        "\"Do not be afraid,\" said {H} {~adverb}. \"I will help you.\"",
    ],
    &["@think"],
    &[
        "{H} wrapped it in {his} {clothes} and carried it home {~adverb}.",
        "{he} ran home to get {O}. Together they put it into {an} {~color} box with {~material}.",
        "{he} gave it some water and a piece of {his} {food}.",
        "{F} came to help. {fhe} knew a lot about {~animal}s, but never had {fhe} seen {an} {hurt} like this.",
    ],
    &["@para"],
    &[
        "{H} took care of it every day. {he} gave it {~food}s and {~dish}, and {he} [sang to it|kept it warm|told it stories].",
        "For {number} days, {H} fed it and kept it warm.",
        "{O} called {aS}, who [put a bandage on it|gave it medicine|looked at it {~adverb}]. \"It needs rest and love,\" said {S}.",
    ],
    &[
        "{he} named it {~pet}.",
        "At night, it slept in the {room} next to {his} {~furniture}.",
        "Soon it was strong enough to [stand|eat|make a happy {sound}].",
        "Little by little, it got better.",
    ],
    &[
        "But {H} knew that it had a family somewhere.",
        "Then one {time}, it looked out of the window. It wanted to go home.",
        "\"It is well again,\" said {O}. \"What should we do now?\" {H} was {~sad}, but {he} knew the answer.",
    ],
    &["@para"],
    &[
        "So {H} took it back {toplace} and let it go. \"Goodbye, little friend,\" {he} said.",
        "{H} and {F} opened the box, and the {hurt} was free.",
        "{he} opened {his} hands. The {hurt} looked back once and was gone.",
    ],
    &[
        "{H} was {~sad} and {~glad} at the same time.",
        "It hurt a little to say goodbye.",
        "\"You did the right thing,\" said {O}.",
    ],
    &[
        "But sometimes, on {an} {~weather} {~time}, the {hurt} came back to visit {him}.",
        "The next {time}, {an} {~oadj} {~object} lay at the door. It was a thank-you gift!",
        "Every {time} after that, {he} heard a happy {sound} outside {his} window.",
        "Later, {H} saw it {inplace} with its whole family.",
    ],
    &["@moral"],
    &["@end"],
];

const CONTEST: Plot = &[
    &["@open"],
    &[
        "One {time}, there was a big {contest} {inplace}.",
        "\"There will be {an} {contest}!\" said {F}. \"The winner gets {aobj}!\"",
        "Every year there was {an} {contest} {inplace}, and this year {H} wanted to win.",
    ],
    &[
        "{H} [practiced every day|got up early to practice|was sure to win|was nervous]. {F} practiced, too.",
        "\"I am the best,\" said {H}. \"I do not need to practice.\"",
        "{O} helped {him} get ready.",
        "{he} dreamed of the prize, {aobj}.",
    ],
    &["@try"],
    &["@para"],
    &[
        "The day of the {contest} came. It was {weather}, and all the {others} were there.",
        "At last it was time. {H} put on {his} {~color} {clothes} and went {toplace}.",
        "\"Ready, set, go!\" called {aS}, and the {contest} began.",
    ],
    &[
        "{H} was ahead. {he} could already see the {adj} {obj}.",
        "At first everything went well.",
        "{H} did {his} best, and the others did their best, too.",
    ],
    &[
        "But then {F} fell and hurt {fhis} foot. {H} stopped. Should {he} win or help?",
        "Then {his} {~object} broke with {an} {sound}. \"Now I cannot win,\" {he} thought.",
        "But {H} was so {~trait_} that {he} forgot everything. {he} stood there and turned {~color}.",
        "Then {he} saw that {F} had lost {fhis} {~object} and could not go on.",
    ],
    &["@para"],
    &[
        "{H} turned around and helped {F}. \"A friend is more important than a prize,\" {he} said.",
        "{F} called, \"You can do it!\" So {H} took a deep breath and went on.",
        "{H} gave {F} {his} hand, and they finished together, side by side.",
        "{he} thought of {O}, and {he} kept going {~adverb}.",
    ],
    &[
        "{H} did not win, but everyone clapped the loudest for {him}.",
        "In the end, {H} came in [second|third|last], and {he} was still {~glad}.",
        "And then {aS} called the winner. It was {H}!",
        "\"We have two winners today,\" said {S}: \"{H} and {F}!\"",
    ],
    &["@glad"],
    &[
        "{S} gave {him} {aobj} for having such a good heart.",
        "\"I am proud of you,\" said {O}. \"You did your best.\"",
        "{H} let {F} hold {theobj}, because they were a team.",
        "\"Winning is nice,\" said {H}, \"but having fun is nicer.\"",
    ],
    &["@moral"],
    &["@home"],
    &["@end"],
];

const WOODS: Plot = &[
    &["@open"],
    &["@weather"],
    &[
        "{H} and {F} went for a walk {inplace}. They took {an} {food} and {aobj}.",
        "{H} followed {an} {animal} that ran {inplace}. {F} came along.",
        "{H} and {F} wanted to pick {~food}s {inplace}.",
    ],
    &["@idle"],
    &[
        "They walked and walked, and they [talked|sang|laughed] so much that they did not look at the path.",
        "{H} saw {an} {wonder} and ran after it. {F} ran after {H}.",
        "Soon they had {number} {~food}s, but they had gone too far.",
    ],
    &["@para"],
    &[
        "When they looked around, nothing looked the same. They were lost.",
        "\"Which way is home?\" asked {F}. {H} did not know.",
        "The {~sky} was gone, and it grew dark. \"We are lost,\" said {F}.",
    ],
    &[
        "{F} began to cry. {H} was {~sad}, too, but {he} held {fhis} hand.",
        "There was {an} {sound} in the dark. They held each other tight.",
        "\"I am {~sad},\" said {F}. \"Me, too,\" said {H}, \"but we are together.\"",
    ],
    &["@think"],
    &["@para"],
    &[
        "Then they met {aS}. \"Are you lost?\" asked {S}. \"Follow [the river|the brightest star|the {small}s|the {~color} stones], and you will find your way.\"",
        "{H} climbed up a tall tree and looked around. Far away {he} saw {an} {~color} light.",
        "\"The river flows past our house,\" said {H}. \"Let us follow it!\"",
        "{H} had dropped bits of {his} {food} on the way. They followed them one by one.",
        "{an} {animal} came out {spot}. It did not hurt them. It showed them the way.",
    ],
    &[
        "They walked {~adverb}, hand in hand, past {an} {~oadj} tree and {an} {~oadj} stone.",
        "On the way they crossed a bridge, climbed over a wall, and went around a pond.",
        "They shared the last {food} and went on.",
        "The way was long, but they were not so afraid anymore.",
    ],
    &[
        "At last they saw {O}, who was waiting with a lantern.",
        "And there, at the end of the path, was home!",
        "Soon they heard {O} calling their names.",
    ],
    &["@glad"],
    &[
        "\"Where have you been?\" asked {O} and hugged them both.",
        "{O} gave them {dish} and a warm blanket.",
        "They told {O} about {S}, but when they looked back, {she} was gone.",
    ],
    &[
        "\"Next time we will look at the path,\" said {H}.",
        "{H} learned to stay calm and think.",
        "They never went so far alone again.",
        "@moral",
    ],
    &["@end"],
];

const STORM: Plot = &[
    &["@open"],
    &[
        "One {time}, {H} wanted to go {toplace} to play {game} with {F}.",
        "{H} had been waiting for this day for {number} days. {he} wanted to fly a kite with {F}.",
        "All week, {H} and {F} had planned a picnic {inplace}.",
    ],
    &[
        "But then the rain came down. {sound}, {sound}, it went on the roof.",
        "But a big storm came, with thunder and wind.",
        "But when {he} looked out of the window, everything was gray and wet.",
        "But snow had fallen all night, and the door would not open.",
    ],
    &[
        "{H} was {~sad}. \"Now we cannot go,\" {he} said.",
        "\"This is the worst day ever,\" said {H}.",
        "{he} sat by the window and watched the drops.",
    ],
    &["@para"],
    &[
        "\"You can have fun inside, too,\" said {O}.",
        "Then {F} came in, wet from head to toe. \"I have an idea,\" {fhe} said.",
        "{O} brought a big box from the {room}. \"Look what is in here,\" {ohe} said.",
    ],
    &[
        "They took {material} and built {an} {build} in the {room}.",
        "They put blankets over the {furniture} and made a secret cave.",
        "They found old {~clothes}, {an} {~color} {~clothes}, and {an} {~instrument}. They dressed up as {an} {~stranger} and {an} {~animal}.",
        "They made a boat out of the {furniture}. \"We are sailing to the {~wonder}!\" cried {H}.",
    ],
    &[
        "{F} was the captain, and {H} looked out for {~animal}s.",
        "{O} made {~dish}, and they ate it in their hiding place.",
        "They told stories about {an} {~stranger} and {an} {~animal}.",
        "{H} beat the {~instrument}, and {F} danced {~adverb}.",
    ],
    &["@para"],
    &[
        "Suddenly the lights went out. \"Do not worry,\" said {O}, and {ohe} lit a candle.",
        "Then there was a loud {sound}. They jumped. It was only {an} {~oadj} {~object} that had fallen down.",
        "A wet {~animal} knocked at the window. They let it in and dried it with a towel.",
    ],
    &[
        "They laughed so much that they forgot the rain.",
        "Time went by so fast that nobody heard the storm anymore.",
        "When they looked out of the window again, there was a rainbow.",
    ],
    &[
        "\"Can we do that again tomorrow?\" asked {F}.",
        "\"I am glad that it rained,\" said {H}.",
        "It was the best rainy day ever.",
        "@glad",
    ],
    &["{H} learned that any day can be a good day.", "The {~sky} was back, but nobody wanted to go outside.", "@moral"],
    &["@home"],
    &["@end"],
];

const SKILL: Plot = &[
    &["@open"],
    &[
        "More than anything, {H} wanted to learn to {skill}.",
        "All the {others} could {skill}, but {H} could not.",
        "{F} could {skill} very well. {H} wanted to do it, too.",
    ],
    &[
        "One {time}, {he} tried to {skill}, but {he} [failed|fell down|got it all wrong|made a mess].",
        "\"It looks so easy,\" {he} said. But it was not.",
        "{he} tried it {inplace}, where nobody could see {him}.",
    ],
    &[
        "Some of the {others} laughed. {H} was {~sad}.",
        "\"I will never learn it,\" {he} said and kicked a stone.",
        "{H} wanted to give up. {he} went home and hid in the {room}.",
        "{an} {~animal} watched {him}. It seemed to laugh.",
    ],
    &["@para"],
    &[
        "\"When I was little, I could not {skill}, either,\" said {O}.",
        "{F} found {him}. \"I can teach you,\" {fhe} said. \"I needed {number} weeks to learn it.\"",
        "Then {he} met {aS}. \"I will show you a trick,\" said {S}.",
        "\"Nobody can do it at first,\" said {O}. \"The secret is to practice.\"",
    ],
    &[
        "So they began {~adverb}. First came the easy part. Then came the hard part.",
        "They practiced every {~time}, even when it was {~weather}.",
        "\"Slowly,\" said {F}. \"One step at a time.\"",
    ],
    &["@try"],
    &[
        "Each day it went a little better.",
        "On the first day, {he} failed {number} times. On the second day, {he} failed only {~number} times.",
        "{he} practiced in the {~room} and {inplace}, before breakfast and after dinner.",
    ],
    &["@para"],
    &[
        "And then, one {weather} {time}, it worked! {H} could {skill}!",
        "One {time}, {he} tried again, and suddenly it was easy.",
        "\"Look at me!\" cried {H}. {he} could {skill} all by {himself}.",
    ],
    &["@glad"],
    &["@thanks"],
    &[
        "A week later, a small {~animal} came to {him}. \"Can you teach me to {skill}?\" it asked. \"Of course,\" said {H}. \"The secret is to practice.\"",
        "{H} showed it to all the {others}, and they [clapped|cheered|wanted to learn it, too].",
        "Now {H} could {skill}, and {he} already knew what {he} wanted to learn next: to {~skill}.",
    ],
    &["{H} learned that practice makes perfect.", "Never give up, and you will get there.", "@moral"],
    &["@end"],
];

const MYSTERY: Plot = &[
    &["@open"],
    &[
        "One night, {H} heard a strange noise. {sound}, {sound}, {sound}!",
        "Every night there was {an} {sound} in the {room}.",
        "Something strange was going on. Every {time}, one of {his} {food}s was gone.",
        "One {time}, {an} {~oadj} {~object} was gone, and there were tiny footprints in the {room}.",
    ],
    &[
        "\"What is that?\" {he} whispered.",
        "\"Maybe it is a monster,\" said {F}.",
        "\"It is only the wind,\" said {O}. But {H} did not think so.",
        "{H} was {~sad}, but {he} was also {~trait_}.",
    ],
    &["@think"],
    &["@para"],
    &[
        "The next night, {H} and {F} hid behind the {furniture} with {aobj}.",
        "{he} put flour on the floor of the {room} and waited.",
        "{H} took a flashlight and walked {~adverb} toward the {room}.",
        "\"We will find out,\" said {H}. \"We are detectives now.\"",
    ],
    &[
        "They waited for a long time. {F} almost fell asleep.",
        "It was dark and quiet. {his} heart beat fast.",
        "The clock struck {number}. Then they heard it again.",
    ],
    &[
        "{sound}! Something moved in the dark.",
        "Two {~color} eyes looked at them.",
        "A shadow ran across the wall. It was very big!",
        "The door opened {~adverb}.",
    ],
    &["@para"],
    &[
        "{H} turned on the light. It was only {an} {small}!",
        "{he} jumped up and saw {an} {animal} with a piece of {~food} in its mouth.",
        "And there, {spot}, sat {an} {hurt} and its {number} babies.",
        "It was {O}, who was making a surprise for {him}: {aobj}!",
        "It was {aS} who was looking for {an} {~oadj} {~object}.",
    ],
    &[
        "\"Is that all?\" said {F}, and they began to laugh.",
        "\"So it was you!\" said {H}.",
        "It was more afraid of them than they were of it.",
        "\"Do not tell anyone,\" came a small voice.",
    ],
    &[
        "They gave it some {~dish} and {an} {~oadj} box to sleep in.",
        "{H} put {an} {food} by the door every night from then on.",
        "They all sat down and ate {~dish} in the middle of the night.",
        "The mystery was solved.",
    ],
    &["@glad"],
    &[
        "{H} learned that most things are not scary when you turn on the light.",
        "\"It is good to look first and be afraid later,\" said {O}.",
        "@moral",
    ],
    &["@end"],
];

const WONDER: Plot = &[
    &["@open"],
    &[
        "{he} had heard stories about {an} {wonder} {inplace}.",
        "One night, {H} dreamed of {an} {wonder}.",
        "{O} once told {him} about {an} {wonder}. Since then, {H} wanted to see it.",
    ],
    &[
        "\"There is no such thing,\" said {F}.",
        "\"Can we go and see it?\" {he} asked {F}. \"Yes!\" said {F}.",
        "Nobody had ever seen it, but {H} believed in it.",
    ],
    &["@weather"],
    &["@para"],
    &[
        "So {H} packed {an} {food}, {aobj}, and {an} {~color} {clothes}, and went.",
        "They took {an} {vehicle} to {place}. From there they went on foot.",
        "{he} got up before the {~sky} was up and walked {~adverb} {toplace}.",
    ],
    &["@idle"],
    &[
        "First they met {an} {animal}. \"Go left at the big stone,\" it said.",
        "On the way they met {aS}. \"You need a good heart to find it,\" said {S}.",
        "They crossed {an} {~oadj} bridge and climbed {an} {~oadj} hill.",
        "{an} {small} showed them the way.",
    ],
    &[
        "They were tired and {~sad}. \"Let us go home,\" said {F}.",
        "They looked and looked, but there was nothing {inplace}.",
        "Then fog came, and they could not see their own feet.",
        "@try",
    ],
    &["@para"],
    &[
        "Then {H} looked up. There it was, the {wonder}!",
        "But then something began to glow {spot}. It was the {wonder}!",
        "And suddenly, right in front of them, was the {wonder}.",
    ],
    &[
        "It was more beautiful than any picture. It was {~color} and {~color} and {~color}.",
        "They stood there and did not say a word.",
        "\"It is real,\" whispered {F}.",
        "It sounded like {an} {~instrument} and smelled like {~dish}.",
    ],
    &[
        "\"Make a wish,\" said a soft voice. {H} wished for [{aobj}|{O} to be well|every {kind} to be happy|rain for the {~plant}s].",
        "{H} wanted to take a piece of it home, but then {he} thought, \"It belongs to everyone.\"",
        "They stayed until the {~sky} went down.",
        "{H} drew a picture of it, so that {he} would never forget.",
    ],
    &["@glad"],
    &["@home"],
    &[
        "\"Did you find it?\" asked {O}. {H} only smiled.",
        "Nobody believed them, but they knew that it was true.",
        "The next morning, {aobj} lay on {his} bed. So it had not been a dream!",
        "@moral",
    ],
    &["@end"],
];

const STRANGER: Plot = &[
    &["@open"],
    &["@daily"],
    &["@weather"],
    &[
        "On the way {toplace}, {H} met {aS} who carried {an} {~oadj} {~object}.",
        "{inplace}, {he} saw {aS} who looked {~sad}.",
        "Then somebody knocked at the door. It was {aS}.",
    ],
    &["@para"],
    &[
        "\"I am so hungry,\" said {S}. \"Do you have something to eat?\"",
        "\"My {vehicle} is stuck,\" said {S}. \"Can you help me?\"",
        "\"I have to finish {job} before dark,\" said {S}, \"and I cannot do it alone.\"",
        "\"I cannot find my {obj},\" said {S}.",
    ],
    &[
        "{H} was in a hurry, but {he} stopped.",
        "{H} had only one {food}, and {he} was hungry, too.",
        "Many {others} had walked past, but {H} did not.",
        "\"I should go home,\" thought {H}. But {he} could not just leave.",
    ],
    &[
        "\"Of course I will help,\" {he} said {~adverb}.",
        "\"Here, take half of my {food},\" said {H}.",
        "\"Let us do it together,\" said {H}, and {he} called {F}.",
    ],
    &["It took {number} minutes, but together they did it.", "They worked {~adverb}, and {S} told them funny stories.", "@try"],
    &["@para"],
    &[
        "\"You have a good heart,\" said {S}. \"I will not forget it.\"",
        "{S} smiled and was gone.",
        "{S} gave {him} {an} {~oadj} {~object} and said, \"When you need help, hold this and think of me.\"",
    ],
    &[
        "Some days later, {H} was in trouble. A big storm came, and {he} was far from home.",
        "{number} days later, {O} got sick, and {H} did not know what to do.",
        "The next {time}, {H} fell into {an} {~oadj} hole and could not get out.",
        "Soon after that, {H} lost {his} way {inplace}.",
    ],
    &[
        "Who came to help? It was {S}!",
        "Then {he} heard a voice. \"You helped me, and now I help you,\" said {S}.",
        "\"I told you I would not forget,\" said {S} and took {his} hand.",
    ],
    &[
        "With the help of {S}, everything was [all right|good|fine] again.",
        "{S} brought {~dish}, {~food}s, and {an} {~color} blanket.",
        "{she} carried {him} home on {shis} back.",
    ],
    &["@glad"],
    &["{H} learned that kindness comes back to you.", "\"One good turn deserves another,\" said {O}.", "@moral"],
    &["@end"],
];

const BOAST: Plot = &[
    &["@open"],
    &[
        "{he} could {skill}, and {he} told everyone about it.",
        "{H} was [fast|strong|clever], and {he} never stopped talking about it.",
        "\"Nobody is as good as I am,\" {H} liked to say.",
    ],
    &[
        "\"I am better than you at everything,\" {he} told {F}.",
        "{he} laughed at {F} because {fhe} could not {skill}.",
        "{F} never said much. {fhe} was {~trait_} and {~trait_}.",
    ],
    &["@weather"],
    &["@para"],
    &[
        "One {time}, {H} said, \"I can cross the river without getting wet!\"",
        "\"I can carry {number} {food}s at once,\" said {H}.",
        "\"I will climb the highest tree {inplace},\" said {H}. \"Watch me!\"",
        "\"I am not afraid of {fear},\" said {H}. \"I am not afraid of anything!\"",
    ],
    &[
        "\"Are you sure?\" asked {F}. \"It looks dangerous.\" \"Of course,\" said {H}.",
        "All the {others} came to watch.",
        "\"Be careful,\" said {aS}. But {H} only laughed.",
    ],
    &[
        "At first it went well. Then came {an} {sound}, and {H} was stuck.",
        "But {H} slipped and fell into the mud with {an} {sound}.",
        "But then {an} {~small} sat on {his} nose. {he} sneezed and lost everything.",
    ],
    &[
        "Everybody laughed. {H} turned {~color} and felt {~sad}.",
        "\"Help me!\" cried {H}. The others did not know what to do.",
        "Now {H} was very quiet.",
    ],
    &["@para"],
    &[
        "Only {F} did not laugh. {fhe} [held out {fhis} hand|got a rope|came {~adverb} and helped {him}].",
        "But {F} had an idea. {fhe} took {aobj} and [pulled|pushed|waved] until {H} was free.",
        "\"Hold on!\" called {F}. {fhe} was small, but {fhe} was clever.",
    ],
    &[
        "\"Why do you help me?\" asked {H}. \"I was not nice to you.\" \"Because you needed help,\" said {F}.",
        "\"I am sorry that I laughed at you,\" said {H}. \"You are the real hero.\"",
        "\"Everybody is good at something,\" said {F} {~adverb}.",
    ],
    &["@thanks"],
    &[
        "After that, {H} did not boast anymore.",
        "{H} learned that it is better to be kind than to be the best.",
        "From then on, {H} asked the others what they could do, and {he} learned a lot.",
        "{H} showed {F} how to {skill}, and {F} showed {H} how to {~skill}.",
    ],
    &["@home"],
    &["@end"],
];
