from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
-- By hand: of such an index aerich knows the fields, and puts them beside our own.
DROP INDEX ix_courses_newest;
DROP INDEX ix_courses_title;
CREATE INDEX ix_courses_newest ON courses (created_at DESC, id DESC) INCLUDE (difficulty);
CREATE INDEX ix_courses_title ON courses (title, id) INCLUDE (difficulty);
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
DROP INDEX ix_courses_newest;
DROP INDEX ix_courses_title;
CREATE INDEX ix_courses_newest ON courses (created_at DESC, id DESC);
CREATE INDEX ix_courses_title ON courses (title, id);
"""


MODELS_STATE = (
    "eJztXXtz4jgS/yoqaq+SqWJTCfO8zN5WkYSZ4TZD7gLZZ7aMsAX4YmzGksNwc7Of/brl9w"
    "tsIFmH9T+pYHVL7V/LUnerJX1pzCyNGfyo7Wi66JjCXjZOyZeGSWcM/skobZIGnc/DMnwg"
    "6MiQ5BTpFMOaSLIRFzZVBRSMqcEZPNIYV219LnTLRPIrkxEgaBLLJkPVckwxJDYbOxzIiT"
    "UmFpTf6aZGxJQKooJMRDUszoiwJkxMmX2E7WiWCg3p5mQ3Vd6at+YQqrDsIdE5ocThzEY8"
    "mvC/alB9xjRZzQKooTECr6ubZEG52xDT3MatObMp1HL6nST4fkjG8BiauDVVazajIIOhm+"
    "wtMaGyU/g7srSlrAboJ9CGbh6RNoE3g1+2VzcHOYk6peaEYSM2m1n3KINtLSQWjql/cpji"
    "vwwg8tvv8BhemH1mHH9+aYx1Zmjy/wYVyKRrDSRin+c24xx0w30+vxvon5VAtYrJFoxLRr"
    "Gcy+KG5AZl449DwPWi0z9vEl2T/zxrfG2SeLOIruwim7QfcOc0j8WgqyJSYD/cQgyPPVcO"
    "KM8UBOuc3ylSltjnBiJAkXyu+LXe3HQv3klK7OsjRbUMZ2aG1POlmFpmQO44unaEPFg2YS"
    "Z2QqZFvkHTMQzve/Ufub0GHgjbYUF30cIHGhtTx8AvufHd2DHlmxFsSXGEDuMDdOg5FUf4"
    "5PX3npwRHkXpXQ2UfmegKI3UKIDyJL5i75EKKgA0dVOgJr58desN0ZFPG9jA+Yf29eHzV8"
    "8kHhYXE1sWSuwaXyUjFVQJlR9C7uo+DvkFQCbgO8+G3eVIwK55LEf+P5vA7z8I8Q8HTh9M"
    "H64YwD1rcfjsYaAddD92+oP2x39h9TPOPxkSofaggyUt+XSZeHroasKC0d+dF4JKyE/dwQ"
    "eCP8mvV71OUl8B3eBX/FxhPhGWYloLhWpRNPzH/iP5ZQcKDb7LuFLPp9TOUWjAkVAqQPSo"
    "atzNd9KY0c+KwcyJmMLPVy9WKPfH9rX8dF69SCis55W0ZNHXGMCWI+B7Z9kId0xnJlHugk"
    "zUVFkK7Qh7leFuXED/PCUaTM635nXn3U2/c3Hqz/BJs6OIIk5eFVDESfLLCRWBRV+TPd2d"
    "CEt0dJdhI+C9uaCa3bz18mUBeIEqF19ZlgGwUm5SjvJsMTVXDOxt5t4QT0FtsEvL9NiQY/"
    "+67MuTVoEuC1S5XVaWJbqspqH1WmpUCFn2D+TdT382g9fkInNYyAc5zrV/OJ+03hSZ3lpv"
    "8uc3LItDLf33NMpdU2SDHNAn8NXdp49lWJxsAeoEG/62dfLi9Ys3z1+9eAMkUrjgyesVMH"
    "d7gwSCGhNUNzKGg3/2r3rZIEZYkj6OrgryP2LovAicFeuuK2BDLGLejd8pDz+2f0721/PL"
    "q7PkVIcVnAHy6NeP7yJuJj4YUfVuQW1NSZVYLSuPNl00a82ST6hJJxJIfGN8Py9ad245Nm"
    "eNjDieV9JcFcNTJQ0vFsFrE5c8HYgLSmQ8TZ+BqIpjG15MbWzZTJ+YxJt7moSD1cQ0QjmZ"
    "6PfMfEuoSZy5YVENI2HIjYy6SYb31NYpKHXYBBotqFtQficrF1NG8Icb4ZvROwZ8oklgaN"
    "AN+A9pbEa15SYBMxU4occrJSJGHp5rw2Zh1Yl4EelCp7u56JBDTR+PdRU+i2U6mhWWYbVb"
    "yBlWtFbkkLRJcsVPSSp0YbDSYgVc2aLIYmy0IFxBddEOXVwazqitTnPFuel3e+8JhoUPnf"
    "mc2Yfn7f7AlZG0+8QbXp49QxJF2JOZYs3hI4jQRsTK53jmhlMOx5QLZ46RJ/IPYo3H6dcN"
    "vxGlFOohXz70sbpBpA+d6w6JPSTdPoExnPRuLi/r6GeVop/BZ1DYIfMZqhy7qVIMISpZCu"
    "cBfEV5VliMbS/QXhVl7vw8WG2CBUHmy6vee588aZcloI9NiZvEKuM1VFkJjbPO+26v17k+"
    "JWcM5giQ6dYEf6Bz/bFz0W0POqcE3CZmz5img7C3Zvvix3bvHGOabe0eX74iQc3AUiwzKs"
    "WY9s+5bh2/KOJdI1n+0CQLE/51zEosswYW56zXwiq6FuYahZsoOM5ZK7iiCo7b9WWs5yRj"
    "vVaREb/JAjqN8js3mPEDW6asiQSqXhhm4FXzJHENn4Yi2nQR+HPprgUAwGszISEAKSJ+YH"
    "ZwLISdmbZlGDOGIqRwP/OY3/1wzQyaYyp7kHeCiqpjs22NfGwo8ONi2+HUReX96Fa1r0i5"
    "ccUtgbqRlewTRA8fkh5YghqN3Li0W9xcH5xWBFIWDFF/sBYE5Fp68WiZBUpJ6NlhwBjzOO"
    "2MIHZJ3vXB5NzYVzV91fURsb+cp7oiluZ334KrlQH9n7tauSuPdQcrlxVZP4vYChljVdyS"
    "yB+qEqZLkbU0LhwN6A84mRtUZbjcRb2h5y3RBScRzJvEtIRc7FKh7aaXmQb0IyrT07NW5H"
    "Zef8nVM699hc2oLnu+N5yvX5JwPikRPJVYRUpYSzNvjSLG0CQBR3qlJFaZ22a5dbSonF5l"
    "a5f+/DabJNLiunW0bYVbJ9UqUeo1nOqs4aS+qqJR0xRjlQPcG4ZOn7eOC8z7QJU78cuyeN"
    "w08eWViaslWOvAWkUDa3VofM8VXIfG91zBMUOuqEESY9qlXVKNoM9uY+JqkE24ZTw8TEt8"
    "mrCuDYnHulUsHH7e7p+3LzqrouGP4+rmxuaSJM1iTm+pGN1PmKqJe6q5AU7nlHLCGTMJ7h"
    "PDJE8ysd66eZ2yToy3yZ/cmbkhOcOQnDzt9O605i3ie1hJidiQT76b0NBDhPEeOaU93/1Z"
    "vUSkT3IxTjDuUxTu763W8+evW8fPX715+eL165dvjgPU00Wr4D/rvkcNxCbx9C4Dz5EsiX"
    "+Uqwa/FPgVCZTGFgszpo7kYmL+vOGuGUeXMIudHsL1/zJ3UcadYg+4m3l8ivsHrNF/mCqw"
    "GIf0kaPeMUEc6Bs2Gd6x5TD79JDtq8yYJn6LGEsLXRPTxu9FZ446ovboETVXQ8Vn64B+n4"
    "axne1Bm4IzMC1j/IQMNZ4ZeI4te5YVtcgP9IYcexjh3X0K8mgpWIYtk9tfA/q6u2Z0V5gW"
    "y/RVj3wPO+qDbC+po1x1lKuOcq3xU35gc9E2+ULa4ikvJVLaXOWj3AGdQiVh0YwOk7j0TT"
    "y2b8Tcvc2ETgDEt0Q3ObOFPOjPDUHZQOyeRYUOxgIjV7ogghlGRmBrh3XLHdqaPmFcBDuo"
    "+x/a37ZevpJHJsqDDOVZdio1DHB1MHAG43STDMcgDbPnIBSwyg3XnmvknXdxwPG0Q1OAn4"
    "9ncZAp+0w1poJDZRBoEXNOGFWnRyR4HbcWkMJLP7EZWbLgAZ6cqAt8MXi45Qbu9dkSUY0r"
    "HqfsEms2cK9KkHBxLjMjhhzVTerbcErc1eks+a5cpIOWspjjbHtojez+YByY/4STYTf34W"
    "M3VkQBfa6NrOeK7ZHwjOfnrdevArsZf6wymfsf25eXWW4zjJR2qaNbIiz10S3ljm6J+X+W"
    "luGynOkmtZc5HqDHkUA9cAz3Bu8zD8IAb4D7rNtrX/+SvVH7LAPys18GnXa9E3X/szEqsk"
    "pxzcbwItOBdcfMRob9Hytf6QHYLiUYm0BaOKvb4yKSq0nuACKTjJYy4Tows01jmWMgZyVy"
    "76LKsrnbrplc7PiYOFCKx5tvOoeVZ6Q5f57rUFkxiz3RsMeb33BYeW2zP7LhuGJFP9R4yc"
    "kgzlmpyeDhj1B5ClNCLAOTb5Z+yXc52z8d0+vJ6TcyY6RUnB+bjnPVwenVwenIzLpldLof"
    "1vQ0gV0bno73rCrFp33sM4zTiFry7VLuG0SFLFKZEulfW2PNQdmau/tP17wzNtk9s5euce"
    "ndk2PN3M3PushJsdy8Phl9DiduGYGWcWFTk3FqZCZTeHkw6I7I0LPs5GmeknYxZW6M26Bc"
    "uHVyQlUVMHGb5Lcm1MVP8Zocdg9PNOIB5h4FOmOzEcPDR6VohmVOovfumJbQQY2cDJFZlY"
    "FwPvTbgYo3MaY9OYrZtL52FY8r35oNq/WPYQyfxM9gTNjYeMVRMcs+EAYVnS+JV2GOGFki"
    "lDLzAyl2ZODXOVaPnmNVR3z23Pyrvbi/hJqj83FZRSd5a1VXWtURq6WkouOctdteZS37tm"
    "AJgyjCUjvsqx12hGoH3vqNV83ThHStqx7pUGX99OhwlVytSSzoljjtLblGtCe4P+iZb313"
    "f1cjK6rhFTVXRjUi+8OKRDUsGSlwIw7oyDMZDzBZ7hUlxVi22PRZ+kSWHZ/EUqFVox2ew1"
    "JkK6hS9uqoLNY6nb9a2w3lsbkZo4l/nG7+UIKH0RZer5/rTJU7ALlhLcjCsu+ahfJpoQ0g"
    "wEu+s6KkO6pXRkuhYzlsKNNwh/iVUSHYbC74UO5f9zJw8Z0PML450fGdZZXIgSRjHc8gwk"
    "ZHSy9d16DLJuHWrbnwRkVmymY4MRnT5L3jmGZAKEH0ZXbBERniiMkiwVjZMJjwWO9iqqtT"
    "oJfVaHhF+a0pQ6x4x/ncGRk6n8LzmQNj7oj5V6s3XSGJ7ZgmQCdHY0lis7lluxe7j/DtMJ"
    "iMoBhgf20Sg5WdCL9yW7ds3T01k97D+IudplgYUnYrRXNW3EvkXhzvt+GdoxZtxg+RYh4k"
    "Xt9z4MJ1kAqQRqAuLJrkyRcuUmVcjG6PHPqCNMmBp4uDjFunmObMmYKbdtbI5Hzy4QpZcg"
    "ULaTaUa6ybsneV0aPPky9WpFZfrsijlRH2DS7kcqXa+NqwlAgSQmTeWBZZw1qJJNXKC8Hq"
    "OHx14vD+MFjURA2Gzf1LiX+QO0ypPSmVw+3Tb5XAXTWcHzuDW04RZXp1wLB/lwftfqNH1G"
    "Iqs9Ujyvfn+lbHW/tTu9jhEbeECqeWxrj2r78+yDbpwPZJo7z+ZP2A+U+e81zDNw104983"
    "nRs8H98luDWvb3q9bu/9qe9E3Zr9m/PzTucCibijquDRId27dvcSH43BHcHf53jO/qV8pC"
    "IS6CQmHdlCE+nOj2RwxVG8XaUsw0w8syxwZ8yclIEM9uReHeB/TG1mhx92skfn6uoyNqOe"
    "dZOXJd58POuABqQCgEh3o+vpEWpuWzjNlt7UF+WrR3ow6rwATYmAZJTlqUO4s7NEosGuEl"
    "gm2fZop+nOoI2FvlLQrl7eT/JWKo+jzsmKjOd+1HUDJSd56yyOKms6Gi0uqegEa63nKusZ"
    "l5GyMkry/ceQo/YdC/mOzLatDITz724PGPYB4FUfy0Nc2o7LswzXi8sgHmOqUS+PuucZZ+"
    "b95Q8lca59wP0RFgRkX1XkoVifS+0pTzHuH+AvT1oFAAeqXMBlWX22yF/KBuKC2pspOM5Z"
    "W7pV1nI0paOkmhOstZ6rpueKJBh6d3pnpBiGt33nJxlGrhVfn2bYFygCkSeEnRLNsbGWcC"
    "+zWxdm1LnHT2JenJsGr4VE/nUJmBzl7UOOpRw+UBtbJETX+T2Pnt+DBRmrZSsOs/M5NjzM"
    "7gnlntSn2dUWZ323YCX3ydWnrhfdK1fZU9flHsUsW4qvO2kdt/+VOGJdlTt23Hv8ppRP0a"
    "SZU84NfXTAcVMDsQyNDL9p0W+GuJ+Ak3tm6+Nl9qHqG9eGWzPCc2PwyBn3KkEvq9rdzxHs"
    "ONN0jq+r4X4GMKTQCLPQnCK2ZRTdeBZL70YZFxYoDYUukNItQVbgXSTDqjNUbhsGG4vbxu"
    "FhrI1np6cYiWqS18/8bPhsCvLHH+Tgm9bfDtyfdQJ4pQxE7Adlk8CjPHu3VfFBFpHiX2cJ"
    "qFOMe5h4/yCI4ziaDfT6jE+ft8pYN9oXH7u9U0K1mQ4zT39wc9HpDU4JD/dWVyBvs/aE9t"
    "sT8s2YDTScYK2jslXTc4mobOpE0i3P29i/00gf9KiNNngg6rSR4Wx5JSvdLRrSrPO38mHY"
    "cVQ4N5c30+bPyOD1xoLq2pwPfC06uJnZJwPnm5oRliobPlUyMvGjKoGwR76H6J4cFznfBa"
    "jyjcfj4/TllvLmuDTC+dtnIyz1DtqSO2j/1FXYr/8Haa+nXA=="
)
