"""Creates a dozen demo courses with pictures, through the normal image pipeline."""

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from infra.cache import NoCache
from infra.db.engine import database
from infra.db.transactions import transaction
from infra.settings import Settings, require_database
from models import Difficulty
from services.catalogue import courses
from services.catalogue.courses import CourseFields

WIDTH, HEIGHT = 1600, 900
_LOCK_TOTALS = "SELECT FROM course_totals ORDER BY difficulty FOR UPDATE"

_COURSES = (
    ("Introduction to Python", "Beginner", "Variables, functions, files: a first language."),
    ("Linear Algebra", "Beginner", "Vectors, matrices and what they do to space."),
    ("Databases", "Intermediate", "Tables, transactions, and why an index helps."),
    ("Operating Systems", "Intermediate", "Processes, memory, files, and what happens between."),
    ("Machine Learning", "Advanced", "From least squares to deep networks, with their proofs."),
    ("Computer Networks", "Intermediate", "Packets, routes and protocols, measured by hand."),
    ("Ethics of Technology", "Beginner", "What we owe to those who use what we build."),
    ("Compilers", "Advanced", "From text to machine code in one term."),
    ("Statistics", "Beginner", "How to learn from data, and when not to."),
    ("Distributed Systems", "Advanced", "Clocks, consensus, and all that can fail."),
    ("Human-Computer Interaction", "Intermediate", "Design with people, tested with people."),
    ("Cryptography", "Advanced", "Secrets that hold, and how the others broke."),
)


async def create_demo_courses(settings: Settings) -> int:
    """Create the courses unless there are any; return how many were created."""
    async with database(require_database(settings), pool_size=2):
        if not await courses.is_empty():
            return 0
        prepared = [
            (CourseFields(title, description, Difficulty(difficulty)), picture(title, number))
            for number, (title, difficulty, description) in enumerate(_COURSES)
        ]
        async with transaction() as connection:
            # Each course changes a total and then shares a task with all writers: one that holds
            # the task must wait for no total. Two instances that start at a time wait here, too.
            await connection.execute_query(_LOCK_TOTALS)
            if not await courses.is_empty():
                return 0
            for fields, image in prepared:
                await courses.create(NoCache(), fields, image)
        return len(_COURSES)


def picture(title: str, number: int) -> bytes:
    """Return a picture for a course as a JPEG: its title over a gradient."""
    hue = number * 255 // len(_COURSES)
    gradient = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    image = Image.merge(
        "HSV",
        (
            gradient.point(lambda shade: (hue + shade // 6) % 256),
            Image.new("L", (WIDTH, HEIGHT), 150),
            gradient.point(lambda shade: 230 - shade // 2),
        ),
    ).convert("RGB")
    draw = ImageDraw.Draw(image)
    for ring in range(12):
        radius = 60 + ring * 70
        box = (WIDTH - radius, HEIGHT - radius, WIDTH + radius, HEIGHT + radius)
        draw.ellipse(box, outline="white", width=2)
    draw.text((100, 360), title, fill="white", font=ImageFont.load_default(size=96))
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=88)
    return encoded.getvalue()
