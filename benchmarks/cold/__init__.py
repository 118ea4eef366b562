"""Items that training never saw: how well does their content place them?"""
