"""What the fakes know: old films and series that really exist, with figures that are made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GENRES: Final = {18: "Drama", 27: "Horror", 28: "Action", 35: "Comedy", 878: "Science Fiction", 80: "Crime"}


@dataclass(frozen=True, slots=True)
class Title:
    """A film or a series.

    Attributes:
        id: TMDB's number here; the Plex servers name it in their guid.
        name: The title.
        released: Day of the first showing; empty when nobody knows it, as happens in TMDB.
        genre: Number of a genre.
        overview: What it is about.
        series: Whether it is a series.
        picture: Whether there is a poster; some have none.
    """

    id: int
    name: str
    released: str
    genre: int
    overview: str
    series: bool = False
    picture: bool = True


def poster_of(title: Title, kind: str = "poster") -> str | None:
    """Return the path of its picture: a new picture would have a new path."""
    return f"/{kind}{title.id}v1.jpg" if title.picture else None


FILMS: Final = (
    Title(
        101, "Metropolis", "1927-01-10", 878, "A city of two classes, and a machine in the shape of Maria."
    ),
    Title(102, "The General", "1926-12-31", 28, "An engine driver follows his stolen locomotive."),
    Title(103, "Nosferatu", "1922-03-04", 27, "A clerk travels to a count who does not like the day."),
    Title(104, "Safety Last!", "1923-04-01", 35, "A salesman climbs the front of his department store."),
    Title(105, "Sunrise", "1927-09-23", 18, "A farmer, his wife, and a woman from the city."),
    Title(106, "A Trip to the Moon", "1902-09-01", 878, "Astronomers are shot into the eye of the Moon."),
    Title(107, "The Kid", "1921-01-21", 35, "A tramp finds a child and keeps it."),
    Title(108, "The Gold Rush", "1925-06-26", 35, "A prospector eats his shoe."),
    Title(109, "Häxan", "1922-09-18", 27, "What people believed about witches, in seven parts."),
    Title(110, "Sherlock Jr.", "1924-04-21", 35, "A projectionist walks into the film he shows."),
    Title(111, "The Phantom of the Opera", "1925-09-06", 27, "Somebody lives below the opera house."),
    Title(112, "Battleship Potemkin", "1925-12-21", 18, "A crew is given bad meat and does not eat it."),
    Title(113, "The Lost World", "1925-02-02", 878, "Explorers bring home something large."),
    Title(114, "Wings", "1927-08-12", 28, "Two pilots love the same woman."),
    Title(115, "The Cat and the Canary", "1927-09-09", 27, "Heirs spend a night in an old house."),
    Title(116, "Girl Shy", "1924-04-20", 35, "A tailor's apprentice writes about what he does not know."),
    Title(117, "Tartuffe", "", 18, "A film within a film, about a man who is not as good as he says."),
    Title(118, "An Untitled Reel", "1919-05-01", 80, "", picture=False),
)
SERIES: Final = (
    Title(201, "Les Vampires", "1915-11-13", 80, "A journalist follows a gang through Paris.", True),
    Title(202, "Fantômas", "1913-05-09", 80, "A man of many faces, and an inspector.", True),
    Title(203, "The Perils of Pauline", "1914-03-23", 28, "An heiress wants to see the world first.", True),
    Title(204, "Judex", "1916-12-16", 80, "A caped avenger and a banker.", True),
)
PEOPLE: Final = ((301, "Buster Keaton"), (302, "Brigitte Helm"), (303, "Charles Chaplin"), (304, "Musidora"))
EPISODES: Final = ("The Severed Head", "The Ring That Kills", "The Red Codebook")
