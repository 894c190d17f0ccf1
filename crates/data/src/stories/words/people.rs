//! Who: names, kinds, traits, grown-ups, strangers.

pub(in crate::stories) const GIRLS: &str = "Lily, Mia, Anna, Emma, Lucy, Sara, Sue, Amy, Zoe, Ella, Ruby, Rosie, Molly, Daisy, Grace, Nora, Ivy, Clara, \
Maya, Jane, Kate, Lola, Nina, Tina, Ruth, Hannah, Alice, Sophie, Chloe, Eva, Leah, Maria, Sally, Betty, Julia, Laura, Holly, Wendy, Penny, Poppy, \
Hazel, Olive, Violet, Flora, Iris, Fern, Stella, Luna, Aria, Bella, Carla, Dora, Elsie, Fiona, Gina, Heidi, Isla, Jenny, Kira, Lena, Megan, Nelly, \
Opal, Paula, Queenie, Rita, Selma, Tara, Uma, Vera, Willa, Xena, Yara, Zara, Abby, Bonnie, Cora, Dana, Edith, Faye, Gwen, Hope, Ingrid, Joy, Kelly, \
Lottie, Mabel, Nancy, Olga, Pearl, Robin, Sandy, Tess, Ursula, Vicky, Winnie, Yuki, Zelda, Amina, Priya, Mei, Leila, Noor, Ines, Carmen, Rosa, Elena, \
Sofia, Aisha, Keiko, Hana, Linnea, Astrid, Freya, Thea, Margot, Celeste, Matilda, Harriet, Josie, Peggy, Tilly, Dolly, Minnie, Nellie, Millie";
pub(in crate::stories) const BOYS: &str = "Tom, Tim, Ben, Max, Sam, Jack, Leo, Finn, Noah, Liam, Oliver, Henry, Oscar, Charlie, Billy, Bobby, Jimmy, Johnny, \
Danny, Peter, Paul, Mark, Luke, Adam, Alex, Andy, Anton, Arthur, Barry, Bruno, Carl, Chris, Cody, Colin, Dan, David, Dean, Dylan, Eddie, Eli, Eric, \
Ethan, Evan, Felix, Frank, Fred, Gabe, Gary, George, Glen, Greg, Gus, Hank, Harry, Hugo, Ian, Isaac, Ivan, Jacob, Jake, James, Jason, Jay, Joe, Joel, \
Jonah, Josh, Julian, Karl, Ken, Kevin, Kyle, Lars, Lewis, Louis, Marco, Mario, Martin, Matt, Michael, Mike, Milo, Nate, Neil, Nick, Nils, Omar, Otto, \
Owen, Pablo, Pat, Pedro, Phil, Ralph, Ravi, Ray, Rex, Rick, Robert, Roger, Roy, Ryan, Scott, Sean, Simon, Stan, Steve, Ted, Theo, Toby, Tony, Victor, \
Walter, Will, Zack, Amir, Kofi, Kenji, Hiro, Rafael, Diego, Mateo, Emil, Jasper, Rufus, Silas, Wesley, Winston, Edgar, Albert, Stanley, Harvey, Nolan";
pub(in crate::stories) const PETS: &str = "Pip, Coco, Fluffy, Bubbles, Pepper, Ginger, Biscuit, Cookie, Buttons, Nibbles, Whiskers, Snowy, Patch, Spot, \
Muffin, Peanut, Pickle, Pudding, Sparky, Sunny, Misty, Dusty, Rusty, Smoky, Shadow, Socks, Tinker, Tiny, Twinkle, Waffle, Ziggy, Zippy, Bingo, Bramble, \
Breezy, Bumble, Clover, Copper, Cricket, Dandy, Dizzy, Doodle, Dot, Echo, Fidget, Fizz, Freckle, Fuzzy, Giggles, Goldie, Happy, Honey, Hopper, Jelly, \
Jingle, Jumper, Kiki, Lucky, Mango, Maple, Marble, Mocha, Moss, Nutmeg, Oreo, Paddy, Pebble, Pippin, Plum, Pogo, Quill, Raisin, Ripple, Rolo, Scout, \
Skip, Sniffles, Snuggles, Speckle, Sprout, Star, Stormy, Tango, Thistle, Toffee, Tumble, Velvet, Wiggles, Willow, Wink, Yoyo, Zuzu, Acorn, Basil, Bean";
pub(in crate::stories) const ANIMALS: &str = "rabbit, bunny, fox, bear, mouse, squirrel, frog, duck, hedgehog, kitten, puppy, turtle, owl, otter, beaver, \
badger, deer, goat, lamb, pig, pony, donkey, hen, goose, swan, robin, sparrow, penguin, panda, koala, monkey, elephant, giraffe, zebra, lion, tiger, \
hippo, kangaroo, camel, raccoon, skunk, mole, bat, chipmunk, hamster, lizard, snail, ladybug, bee, butterfly, cricket, ant, caterpillar, spider, \
dolphin, whale, seal, crab, octopus, parrot, peacock, raven, crow, pigeon, dove, eagle, stork, flamingo, toad, newt, gecko, dragon, unicorn, calf, \
chick, duckling, piglet, fawn, cub, wolf, moose, llama, alpaca, sloth, meerkat, lemur, weasel, ferret, walrus, pelican, starfish, seahorse, dragonfly";
pub(in crate::stories) const TRAITS: &str = "kind, brave, curious, shy, clever, cheerful, gentle, playful, careful, quiet, funny, friendly, lively, \
helpful, honest, patient, polite, silly, sleepy, stubborn, thoughtful, tidy, messy, noisy, eager, proud, bold, calm, dreamy, fearless, generous, \
grumpy, hungry, jolly, loyal, lucky, merry, neat, nosy, restless, sensible, serious, smart, sweet, talkative, timid, wise, wild, busy, bossy, bouncy, \
bubbly, caring, chatty, cuddly, daring, energetic, forgetful, fussy, giggly, graceful, greedy, hopeful, humble, imaginative, impatient, lazy, lonely, \
loving, mischievous, modest, peaceful, quick, respectful, sensitive, slow, speedy, spirited, strong, tender, trusting, warm, witty, cautious, nimble";
pub(in crate::stories) const WOMEN: &str =
    "mom, mother, grandma, grandmother, aunt, big sister, teacher, nanny, granny, older cousin";
pub(in crate::stories) const MEN: &str =
    "dad, father, grandpa, grandfather, uncle, big brother, teacher, granddad, coach, older cousin";
pub(in crate::stories) const STRANGER_ADJ: &str = "old, wise, friendly, tall, gray, kind, strange, quiet, round, cheerful, tiny, jolly, gentle, busy, \
sleepy, white-haired, smiling, whistling, barefoot, enormous, plump, skinny, elderly, curly-haired, rosy-cheeked, soft-spoken, bearded";
pub(in crate::stories) const STRANGERS: &str = "farmer, baker, gardener, fisherman, shepherd, sailor, painter, mail carrier, librarian, carpenter, \
shopkeeper, painter, nurse, doctor, firefighter, police officer, bus driver, train driver, clockmaker, tailor, cook, miller, beekeeper, zookeeper, \
juggler, clown, magician, king, queen, knight, wizard, fairy, giant, elf, gnome, mermaid, pirate, captain, astronaut, inventor, musician, dancer, \
blacksmith, weaver, potter, cobbler, woodcutter, hunter, ranger, lifeguard, plumber, builder, mechanic, pilot, drummer, singer, writer, poet, neighbor";
pub(in crate::stories) const WISE_ANIMALS: &str = "owl, turtle, bear, elephant, badger, goose, crow, toad, deer, horse, donkey, goat, raven, eagle, \
beaver, mole, swan, stork, camel, whale, ox, moose, heron, hare, tortoise, stag, bison, rhino, pelican, walrus";
