//! Where, when and how: places, weather, time, manner, feelings.

/// Preposition and place.
pub(in crate::stories) const PLACES: &str = "in|the park, in|the forest, in|the garden, in|the meadow, by|the river, by|the lake, at|the beach, \
on|the farm, in|the valley, on|the hill, in|the village, in|the woods, near|the pond, at|the playground, in|the orchard, at|the market, in|the town square, \
in|the backyard, by|the sea, in|the jungle, in|the desert, on|the island, at|the zoo, near|the old mill, by|the waterfall, in|the field, on|the mountain, \
near|the cave, by|the stream, at|the harbor, in|the vineyard, near|the lighthouse, at|the campground, by|the canal, on|the prairie, in|the swamp, \
near|the castle, at|the fairground, in|the courtyard, near|the windmill, at|the train station, by|the fountain, in|the greenhouse, near|the barn, \
on|the cliff, by|the creek, in|the city park, at|the skating rink, in|the canyon, near|the bridge, in|the school yard, at|the bus stop, by|the dock, \
in|the pine forest, in|the flower garden, on|the sandy shore, near|the village well, in|the rose garden, by|the duck pond, at|the soccer field, \
in|the apple orchard, near|the bakery, at|the library steps, by|the seaside, on|the snowy hill, in|the bamboo grove, near|the hot springs, \
at|the carnival, in|the old quarry, by|the marsh, on|the riverbank, near|the railway, in|the maple woods, at|the edge of town, in|the hidden valley";
pub(in crate::stories) const SPOTS: &str = "under a bush, behind a big rock, under a tree, in the tall grass, beside a fence, under a bench, behind a \
hedge, near an old log, in a pile of leaves, beside a puddle, under a wooden bridge, behind a shed, in a hollow stump, next to a gate, between two \
stones, on top of a wall, at the end of the path, in a patch of clover, among the ferns, behind a wheelbarrow, under a blue tarp, in a muddy ditch, \
beside a mossy stone, beneath a thorny bush, inside an empty barrel, near a row of flowers, at the foot of a ladder, behind a haystack, under a pile of \
wood, in the roots of an oak, beside a water pump, by a broken wall, under a wagon wheel, inside a flowerpot, on a low branch, behind a signpost";
pub(in crate::stories) const ROOMS: &str = "kitchen, bedroom, living room, attic, basement, playroom, hallway, bathroom, garage, porch, pantry, closet, \
cellar, library, workshop, den, nursery, dining room, study, laundry room, balcony, sunroom";
pub(in crate::stories) const FURNITURE: &str = "bed, table, sofa, shelf, desk, cupboard, wardrobe, lamp, armchair, bookcase, dresser, piano, bathtub, \
stove, cradle, rocking chair, bench, drawer, trunk, fireplace, refrigerator, washing machine, curtain, carpet, footstool, toy box";
pub(in crate::stories) const WEATHER: &str = "sunny, windy, cloudy, rainy, snowy, foggy, warm, cold, chilly, hot, breezy, bright, stormy, misty, frosty, \
cool, golden, gray, icy, damp, drizzly, clear, lovely, crisp, muggy, blustery, mild, sparkling, gloomy, scorching";
pub(in crate::stories) const TIMES: &str = "morning, afternoon, evening, day, spring day, summer day, autumn day, winter day, Saturday, Sunday, Monday, \
Tuesday, Wednesday, Thursday, Friday, summer morning, winter evening, spring morning, autumn afternoon, weekend, holiday, school day";
pub(in crate::stories) const ADVERBS: &str = "slowly, quickly, quietly, carefully, happily, bravely, gently, softly, eagerly, proudly, kindly, politely, \
cheerfully, calmly, nervously, loudly, silently, patiently, firmly, boldly, shyly, warmly, brightly, excitedly, thoughtfully, gladly, merrily, \
sleepily, swiftly, steadily, suddenly, gracefully, clumsily, curiously, joyfully, tenderly, timidly, hopefully, playfully, seriously, secretly, neatly, \
hurriedly, lightly, peacefully, gratefully, cautiously, briskly, dreamily, awkwardly, anxiously, sweetly, breathlessly, earnestly, wearily, stubbornly";
pub(in crate::stories) const GLAD: &str = "happy, glad, excited, proud, cheerful, thankful, delighted, joyful, pleased, merry, thrilled, relieved, \
grateful, overjoyed, content, hopeful, amazed, jolly, satisfied, peaceful, warm inside, very happy, so happy, full of joy, tickled pink, over the moon";
pub(in crate::stories) const SAD: &str = "sad, upset, worried, lonely, unhappy, scared, disappointed, nervous, gloomy, miserable, sorry, confused, afraid, \
tired, ashamed, hurt, embarrassed, frightened, anxious, jealous, discouraged, heartbroken, troubled, very sad, close to tears, homesick, uneasy";
pub(in crate::stories) const SOUNDS: &str = "thump, bang, squeak, splash, crash, tap, creak, whisper, rustle, buzz, hoot, howl, knock, growl, scratch, \
ring, jingle, pop, whoosh, click, rumble, hum, squawk, giggle, hiss, drip, clang, chirp, thud, whistle, snap, crackle, boom, rattle, moan, gurgle";
pub(in crate::stories) const FEARS: &str = "the dark, deep water, thunder, high places, loud noises, big dogs, spiders, the doctor, new places, being \
alone, lightning, bees, monsters, heights, the dentist, strangers, the basement, ghosts, snakes, getting lost, bats, fireworks, shadows, swimming, \
speaking in class, riding a bicycle, the first day of school, crossing the bridge, sleeping alone, climbing trees, barking dogs, flying, elevators, storms";
pub(in crate::stories) const SKILLS: &str = "ride a bike, swim, skate, whistle, tie knots, climb trees, paint, dance, sing, juggle, bake bread, read, write \
letters, catch a ball, fly a kite, row a boat, knit, ski, play chess, do a cartwheel, tell jokes, skip stones, draw horses, jump rope, count to one \
hundred, play the flute, make a fire, cook soup, spell hard words, throw a frisbee, stand on one leg, walk on stilts, tie shoes, plant seeds, \
sew buttons, play the drum, surf, make paper birds, milk a cow, saddle a pony, read a map, tell the time, fix a wheel, hit a ball, snap fingers, yodel, \
blow bubbles, weave baskets, carve wood, do magic tricks, make friends, keep a secret, say the alphabet backward, float on the water, build a fire";
pub(in crate::stories) const GAMES: &str = "tag, hide-and-seek, catch, hopscotch, pretend, soccer, chess, leapfrog, marbles, jump rope, follow the leader, \
checkers, dress-up, pirates, cards, basketball, house, school, doctor, explorers, tug-of-war, dominoes, bingo, kickball, red light green light, \
superheroes, treasure hunt, musical chairs, baseball, tennis, charades, blind man's bluff, knights and dragons, bowling";
pub(in crate::stories) const JOBS: &str = "sweeping the floor, washing dishes, feeding the chickens, carrying water, picking apples, raking leaves, pulling \
weeds, stacking wood, folding clothes, watering plants, delivering letters, painting the fence, shoveling snow, walking dogs, sorting buttons, \
peeling potatoes, gathering eggs, cleaning windows, selling lemonade, brushing the pony, mending nets, dusting shelves, setting the table, \
collecting bottles, mowing the lawn, polishing shoes, washing cars, baking cookies, planting seeds, tying bundles, milking goats, fixing toys";
pub(in crate::stories) const HURT: &str = "bird, kitten, puppy, butterfly, duckling, squirrel, mouse, lamb, baby rabbit, fox cub, turtle, hedgehog, \
baby deer, chick, bat, frog, bee, owl, baby goat, swan, robin, pony, gosling, sparrow, piglet, dove, chipmunk, otter pup, seal pup, lost dog";
pub(in crate::stories) const CONTESTS: &str = "race, talent show, baking contest, drawing contest, swimming race, spelling bee, sack race, dance contest, \
kite contest, sandcastle contest, singing contest, treasure hunt, boat race, pie-eating contest, snowman contest, jumping contest, bicycle race, \
pumpkin contest, costume contest, soccer game, chess game, relay race, story contest, garden show, pet show, puppet show, school play, science fair";
pub(in crate::stories) const WONDERS: &str = "rainbow, shooting star, full moon, waterfall, sunset, firefly, snowflake, comet, hidden garden, tiny door, \
talking tree, glowing mushroom, secret tunnel, floating island, golden fish, singing stone, crystal cave, cloud shaped like a whale, flying carpet, \
giant footprint, magic pond, friendly ghost, sleeping dragon, wishing well, fairy ring, sunken ship, silver path, bottle with a letter, secret map, \
spinning staircase, enchanted mirror, invisible bridge, moonlit parade, upside-down house, door in the hill, sparkling geyser, northern light";
pub(in crate::stories) const SKY: &str =
    "sun, moon, wind, sky, breeze, sunshine, stars, clouds, rain, snow, mist, thunder, twilight, dawn, dusk";
pub(in crate::stories) const NUMBERS: &str =
    "two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, fifteen, twenty, thirty, forty, fifty, a hundred";
pub(in crate::stories) const SMALL: &str = "ant, beetle, caterpillar, snail, worm, ladybug, spider, cricket, bee, moth, grasshopper, butterfly, tadpole, minnow, \
hummingbird, wren, finch, field mouse, dragonfly, firefly, crab, centipede, flea, gnat, bumblebee, water bug, sand flea, shrimp";
