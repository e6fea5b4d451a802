"""Followed branches."""

from __future__ import annotations

from dits.auth.v1 import notification_service_pb2 as pb
from grpc import StatusCode

from tests.support.api import Account, Api, refused

INVALID = (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


async def test_branches_are_followed_and_listed(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    film, demo = await api.repository(ada, "film"), await api.repository(ada, "Demo")
    for repository in (film, demo):
        await api.grant(repository, bob, "read")
        for branch in ("main", "dev", "main"):
            await api.notifications.FollowBranch(
                pb.FollowBranchRequest(repository=repository.id, branch=branch),
                metadata=bob.auth,
            )
    where = f"{ada.username}/"
    expected = [(where + r, b) for r in ("Demo", "film") for b in ("dev", "main")]
    assert await list_followed(api, bob) == expected
    # By its name, in any case; what is not followed, or not there, makes no difference.
    for repository_name, branch in ((f"{where}FILM".upper(), "main"), (f"{where}none", "main")):
        for _ in range(2):
            await api.notifications.UnfollowBranch(
                pb.UnfollowBranchRequest(repository=repository_name, branch=branch),
                metadata=bob.auth,
            )
    expected.remove((where + "film", "main"))
    assert await list_followed(api, bob) == expected
    await api.fetch("DELETE FROM repository_collaborators WHERE repo_id = $1::uuid", demo.id)
    assert await list_followed(api, bob) == [(where + "film", "dev")]
    await api.notifications.UnfollowBranch(
        pb.UnfollowBranchRequest(repository=demo.id, branch="dev"), metadata=bob.auth
    )
    assert await api.value("SELECT count(*) FROM branch_follows") == 2


async def list_followed(api: Api, user: Account) -> list[tuple[str, str]]:
    """ListFollowedBranches, one on each page."""
    found: list[tuple[str, str]] = []
    request = pb.ListFollowedBranchesRequest(page_size=1)
    while True:
        page = await api.notifications.ListFollowedBranches(request, metadata=user.auth)
        found += [(branch.repository, branch.branch) for branch in page.branches]
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def test_what_cannot_be_followed(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    film = await api.repository(ada)
    for branch in ("", "a..b", "a\nb", "b" * 257):
        with refused(*INVALID):
            await api.notifications.FollowBranch(
                pb.FollowBranchRequest(repository=film.id, branch=branch), metadata=ada.auth
            )
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.notifications.FollowBranch(
            pb.FollowBranchRequest(repository=film.id, branch="main"), metadata=bob.auth
        )
    with refused(*INVALID):
        await api.notifications.UnfollowBranch(
            pb.UnfollowBranchRequest(repository="film", branch="main"), metadata=bob.auth
        )
    await api.fetch(
        """INSERT INTO branch_follows (user_id, repo_id, branch)
           SELECT $1, $2::uuid, n::text FROM generate_series(1, 1000) n""",
        ada.id,
        film.id,
    )
    follow = pb.FollowBranchRequest(repository=film.id, branch="1000")
    await api.notifications.FollowBranch(follow, metadata=ada.auth)
    follow.branch = "1001"
    with refused(*INVALID):
        await api.notifications.FollowBranch(follow, metadata=ada.auth)
