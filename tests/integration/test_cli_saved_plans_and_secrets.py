"""``plan --out`` and ``apply FILE``, variables of every kind, and values that no file may keep."""

from __future__ import annotations

from clockwork_nb.testing.project import Project

CANARY = "canary-5e5ame-open"
TYPED = """
variable "token" {
  type      = string
  sensitive = true
}
variable "size" {
  type    = object({ wide = number, name = string })
  default = { wide = 1, name = "x" }
}
variable "flag" {
  default = "d"
}
file "conf" {
  path    = "out/conf"
  content = "${var.token} ${var.size.wide} ${var.flag}"
}
"""
VALUES = ["--var", 'size={ wide = 2, name = "q" }', "--var", "flag=true"]


def leaks(project: Project) -> list[str]:
    return [
        str(p)
        for p in project.root.rglob("*")
        if p.is_file() and p != project.folder / "out/conf" and CANARY.encode() in p.read_bytes()
    ]


def test_saved_plan_keeps_its_variables_but_not_the_sensitive_one(project: Project) -> None:
    project.write({"main.cw": TYPED})
    project.run("plan", "--var", f"token={CANARY}", *VALUES, "--out", "plan.json")
    assert leaks(project) == []
    done = project.run("apply", "plan.json", "--auto-approve", expect=6)
    assert "Give it again: clockwork apply plan.json --var token=" in done.err
    other = project.run("apply", "plan.json", "--var", "token=something else", "--auto-approve", expect=13)
    assert "the variable token has another value" in other.err
    project.run("apply", "plan.json", "--var", f"token={CANARY}", "--auto-approve")
    assert (project.folder / "out/conf").read_text() == f"{CANARY} 2 true"
    assert leaks(project) == []


def test_sensitive_flag_is_in_no_file_and_is_asked_for_again_by_resume(project: Project) -> None:
    project.write({"main.cw": TYPED})
    project.run("apply", "--var", f"token={CANARY}", *VALUES, expect=4)
    job = project.jobs()[0]["id"]
    project.approve(job)
    done = project.run("job", "resume", job, expect=6)
    assert f"clockwork job resume {job} --var token=" in done.err
    assert project.jobs()[0]["status"] == "blocked_decision"
    project.run("job", "resume", job, "--var", f"token={CANARY}", "--var", "flag=false", expect=6)
    project.run("job", "resume", job, "--var", f"token={CANARY}")
    assert (project.folder / "out/conf").read_text() == f"{CANARY} 2 true"
    project.run("jobpack", "export", job)
    assert leaks(project) == []


def test_another_sensitive_value_on_resume_needs_its_own_approval(project: Project) -> None:
    project.write({"main.cw": TYPED})
    project.run("apply", "--var", f"token={CANARY}", expect=4)
    job = project.jobs()[0]["id"]
    project.approve(job)
    done = project.run("job", "resume", job, "--var", "token=another", expect=4)
    assert "no longer fits: the variable token has another value" in done.err
    assert not (project.folder / "out").exists()


def test_next_lines_of_a_plan_are_what_to_type_without_the_secret(project: Project) -> None:
    project.write({"main.cw": TYPED})
    done = project.run("plan", "--var", f"token={CANARY}", "--var", "flag=a b")
    assert CANARY not in done.out
    assert "clockwork apply '--var=token=…' '--var=flag=a b'" in done.out


def test_plan_file_and_variable_file_are_where_the_shell_stands(project: Project) -> None:
    project.write({"sub/main.cw": 'variable "n" {}\nfile "a" {\n  path    = "out/a"\n  content = "v${var.n}"\n}\n'})
    project.write({"values.cwvars": "n = 3\n"})
    done = project.run("plan", "-C", "sub", "--var-file", "values.cwvars", "--out", "plan.json")
    assert "clockwork apply -C sub plan.json" in done.out
    project.run("apply", "-C", "sub", "plan.json", "--auto-approve")
    assert (project.folder / "sub/out/a").read_text() == "v3"


def test_saved_destroy_plan_destroys_also_after_a_wait(project: Project) -> None:
    project.write({"main.cw": 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'})
    project.run("apply", "--auto-approve")
    project.run("plan", "--destroy", "--out", "plan.json")
    project.run("apply", "plan.json", expect=4)
    job = project.jobs()[0]
    assert job["name"].startswith("destroy")
    project.approve(job["id"])
    assert "Destroyed 1 step" in project.run("job", "resume", job["id"]).out
    assert not (project.folder / "out/a").exists()


def test_saved_plan_for_a_target_stays_for_that_target_after_a_wait(project: Project) -> None:
    project.write({"main.cw": "".join(f'file "{n}" {{\n  path    = "out/{n}"\n  content = "x"\n}}\n' for n in "ab")})
    project.run("plan", "--target", "file.a", "--out", "plan.json")
    project.run("apply", "plan.json", "--target", "file.b", expect=6)
    project.run("apply", "plan.json", expect=4)
    job = project.jobs()[0]["id"]
    project.approve(job)
    project.run("job", "resume", job)
    assert [p.name for p in (project.folder / "out").iterdir()] == ["a"]


def test_plan_is_not_saved_where_there_is_no_folder(project: Project) -> None:
    project.write({"main.cw": TYPED})
    for name in ("nowhere/plan.json", "."):
        done = project.run("plan", "--var", "token=x", "--out", name, expect=6)
        assert done.out == ""
        assert "cannot be saved" in done.err


def test_file_that_is_no_plan_is_refused(project: Project) -> None:
    project.write({"main.cw": TYPED})
    for name in (".", "main.cw", "missing.json", "/dev/zero"):
        for verb in ("apply", "show"):
            assert "E_INVALID_INPUT_SCHEMA" in project.run(verb, name, expect=6).err
