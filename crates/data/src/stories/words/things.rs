//! What: objects, food, adjectives, materials.

pub(in crate::stories) const OBJECTS: &str = "ball, kite, doll, drum, hat, scarf, book, toy car, toy boat, toy train, teddy bear, balloon, bell, \
whistle, lantern, key, ribbon, button, shell, feather, crayon, pencil, paintbrush, puppet, puzzle, top, yo-yo, jump rope, marble, coin, ring, \
necklace, bracelet, crown, cape, mask, mitten, sock, shoe, boot, glove, sweater, jacket, coat, umbrella, basket, bucket, shovel, spoon, cup, mug, \
bowl, plate, jar, bottle, box, bag, backpack, purse, wallet, map, compass, telescope, flashlight, candle, clock, watch, mirror, comb, brush, pillow, \
blanket, quilt, rug, chair, stool, sled, scooter, wagon, skateboard, bicycle, tricycle, toy truck, toy plane, rocket, robot, dinosaur, block, tower, \
castle, dollhouse, tent, flag, drumstick, guitar, violin, flute, trumpet, piano, harmonica, tambourine, music box, stamp, letter, postcard, \
card, picture, photo, notebook, diary, sticker, magnet, magnifying glass, snow globe, piggy bank, lunchbox, thermos, kettle, teapot, vase, statue, \
trophy, medal, badge, belt, tie, dress, skirt, apron, pair of glasses, wand, treasure chest, pinwheel, slingshot, fishing rod, net, rope, ladder, \
hammer, wrench, broom, mop, sponge, soap, towel, toothbrush, cushion, hammock, swing, seesaw, frisbee, racket, bat, helmet, goggles, snorkel, \
paddle, canoe, raft, pebble, stone, crystal, gem, pearl, acorn, pinecone, leaf, flower, rose, tulip, seed, stick, log, nest, egg, horn, fan, bow";
pub(in crate::stories) const OBJECT_ADJ: &str = "big, little, small, tiny, huge, new, old, shiny, soft, smooth, pretty, beautiful, special, strange, \
magic, wooden, golden, silver, striped, spotted, sparkly, round, heavy, light, bright, colorful, fancy, plain, lovely, wonderful, fine, rare, \
cozy, dusty, faded, favorite, fluffy, fuzzy, glittery, glowing, handmade, ancient, antique, broken-looking, bumpy, checkered, clean, crooked, curly, \
delicate, dotted, elegant, enormous, fragile, funny-looking, gleaming, glossy, lumpy, miniature, mysterious, narrow, neat, odd, painted, patched, \
perfect, polished, precious, rusty, shimmering, silky, simple, slippery, sturdy, thick, tidy, velvet, wobbly, woolly, worn, unusual, amazing, ordinary";
pub(in crate::stories) const COLORS: &str = "red, blue, green, yellow, orange, purple, pink, white, black, brown, gray, turquoise, scarlet, violet, \
lavender, crimson, navy, teal, ivory, golden, silver, copper, peach, lemon-yellow, sky-blue, emerald, ruby-red, cream, rainbow-colored";
pub(in crate::stories) const FOODS: &str = "apple, pear, peach, plum, banana, orange, sandwich, cookie, muffin, pancake, carrot, pie, cake, cupcake, \
bun, roll, biscuit, pretzel, waffle, donut, tart, pizza, burger, egg, omelet, salad, potato, tomato, cucumber, pumpkin, melon, watermelon, \
strawberry, raspberry, blueberry, cherry, grape, lemon, mango, pineapple, coconut, walnut, almond, chestnut, turnip, radish, cabbage, onion, \
mushroom, noodle, dumpling, meatball, sausage, cracker, bagel, croissant, brownie, lollipop, candy cane, ice cream cone, milkshake, smoothie, popsicle";
pub(in crate::stories) const DISHES: &str = "soup, stew, bread, jam, honey, cheese, rice, pasta, porridge, oatmeal, cereal, butter, yogurt, pudding, \
popcorn, chocolate, lemonade, tea, cocoa, apple juice, milk, gingerbread, spaghetti, chowder, custard, jelly, toast, corn, salad, ice cream, hot chocolate";
pub(in crate::stories) const PLANTS: &str = "sunflower, tulip, rose, daisy, bean, tomato, carrot, pumpkin, strawberry, pea, apple tree, oak tree, cherry \
tree, lemon tree, poppy, lily, marigold, pansy, violet, daffodil, orchid, cactus, sweet pea, melon, cabbage, lavender bush, rosebush, blueberry bush, fern, \
mint plant, maple tree, peach tree, bluebell, snowdrop, crocus, peony, turnip, radish, lettuce, sweet potato, corn plant, grapevine, willow tree";
pub(in crate::stories) const MATERIALS: &str = "sticks, cardboard, wood, blankets, boxes, stones, leaves, string, paper, clay, sand, snow, straw, \
bricks, branches, cloth, old tires, pillows, planks, mud, tape and paper, bottle caps, shells, buttons and glue, popsicle sticks, wool, tin cans, cork";
pub(in crate::stories) const BUILDS: &str = "fort, treehouse, boat, birdhouse, bridge, castle, raft, snowman, kite, robot, doghouse, wagon, scarecrow, \
playhouse, tower, rocket, sandcastle, swing, puppet theater, go-cart, lighthouse, windmill, igloo, dam, tent, model train, garden gate, bench, nest, clubhouse";
pub(in crate::stories) const CLOTHES: &str = "hat, scarf, coat, sweater, mittens, boots, raincoat, cap, jacket, socks, gloves, dress, overalls, apron, vest, \
pajamas, slippers, sandals, sneakers, cape, bonnet, poncho, shorts, shirt, sunhat, earmuffs, robe, swimsuit, costume";
pub(in crate::stories) const INSTRUMENTS: &str = "drum, guitar, violin, flute, trumpet, piano, harmonica, tambourine, harp, cello, banjo, accordion, bell, \
recorder, horn, xylophone, ukulele, triangle, tuba, clarinet, saxophone, bongo, fiddle, whistle, organ, trombone, kazoo, maraca";
pub(in crate::stories) const VEHICLES: &str = "bus, train, truck, tractor, boat, bicycle, cart, wagon, van, tram, car, ferry, sled, fire engine, airplane, \
helicopter, taxi, ship, canoe, motorcycle, digger, hot-air balloon, scooter, carriage, ambulance, submarine, trolley, rowboat, sailboat";
